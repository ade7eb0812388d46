"""Brings the images under an s3:// prefix into the cache, several at a time.

The cache entry is named by the listing (keys, ETags, sizes): one changed object makes another entry. An archive is
quicker to fetch than thousands of objects; this is for buckets that already hold single images.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from reid.data.cache import cache_errors, exclusive, key_of
from reid.data.images import is_image
from reid.data.progress import amount, progress
from reid.data.s3_source import S3Client, S3Source, s3_errors
from reid.data.transfer import Patience, receive, refuse_larger, verify, with_retries
from reid.errors import FetchError, NoSuchSource, StorageError

log = logging.getLogger(__name__)

_AT_ONCE = 16


@dataclass(frozen=True)
class _Object:
    key: str
    etag: str
    size: int
    relative: str


def fetch_s3_folder(
    client: S3Client,
    bucket: str,
    prefix: str,
    *,
    absent: FetchError | None = None,
    cache_dir: Path,
    max_bytes: int | None,
    patience: Patience,
) -> Path:
    """A cached folder with every image under `s3://bucket/prefix`, sub-folders kept.

    Args:
        prefix: "" or ends in "/".
        absent: the error to raise when nothing lies under the prefix, instead of one that speaks of a folder.

    Raises:
        FetchError: as `fetch`; also when there are objects but no image among them, or a key leads out of the folder.
        StorageError: the disk is full or the cache not writable.
    """
    label = f"s3://{bucket}/{prefix}"
    keys = with_retries(lambda: _listing(client, bucket, prefix, label), label=label, patience=patience)
    if not keys:
        raise absent or FetchError(f"nothing lies under {label}", "", "check the path after the bucket")
    images = [entry for entry in keys if is_image(Path(entry.key))]
    if not images:
        raise NoSuchSource(
            f"no image lies under {label}; its first objects are {', '.join(entry.relative for entry in keys[:3])}",
            "images end in .jpg, .jpeg, .png, .bmp or .webp",
            "name one archive among them, or the folder that holds the images",
        )
    size = sum(entry.size for entry in images)
    refuse_larger(label, size, max_bytes)
    listing = (f"{entry.relative} {entry.etag} {entry.size}" for entry in images)
    folder = cache_dir / "folders" / key_of(client.meta.endpoint_url, label, *listing)
    with exclusive(folder):
        if folder.is_dir():
            log.info("%s is in the cache: %s", label, folder)
            return folder
        started = time.monotonic()
        stage = folder.with_name(f"{folder.name}.part")
        with progress(f"fetching {label}", size, unit="B") as advance, ThreadPoolExecutor(_AT_ONCE) as pool:
            futures = [pool.submit(_bring, client, bucket, entry, stage, patience, advance) for entry in images]
            try:
                for future in futures:
                    future.result()
            except BaseException as error:
                pool.shutdown(cancel_futures=True)
                if isinstance(error, StorageError):
                    shutil.rmtree(stage, ignore_errors=True)
                raise
        with cache_errors(folder):
            stage.replace(folder)
    seconds = time.monotonic() - started
    log.info("fetched %s: %d images, %s in %.1f s", label, len(images), amount(size, "B"), seconds)
    return folder


def _listing(client: S3Client, bucket: str, prefix: str, label: str) -> list[_Object]:
    """Every object under the prefix, sorted; the markers that some tools keep for "folders" left out."""
    found = []
    with s3_errors(label):
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for item in page.get("Contents", []):
                relative = item["Key"].removeprefix(prefix)
                if relative and not relative.endswith("/"):
                    found.append(_Object(item["Key"], item["ETag"], item["Size"], relative))
    for entry in found:
        path = PurePosixPath(entry.relative)
        if path.is_absolute() or ".." in path.parts or "\0" in entry.relative:
            raise FetchError(
                f"the object s3://{bucket}/{entry.key} would be written outside its folder",
                "a key must not begin with / or hold .. after the prefix",
                "rename the object, or name the folder it is really in",
            )
    return sorted(found, key=lambda entry: entry.relative)


def _bring(
    client: S3Client, bucket: str, entry: _Object, stage: Path, patience: Patience, advance: Callable[[int], None]
) -> None:
    """Writes one object to its place in the stage; one that an earlier, interrupted run brought is kept."""
    target = stage / entry.relative
    if target.is_file():
        advance(entry.size)
        return
    source = S3Source(bucket, entry.key, client)
    part = target.with_name(f".{target.name}.part")

    def attempt() -> None:
        with source.open(version=entry.etag) as stream:
            receive(stream, part, advance)
            verify(part, stream)
        part.replace(target)

    with_retries(attempt, label=source.label, patience=patience)
