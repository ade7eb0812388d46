"""Brings what a URI names onto this machine: file://, http://, https:// and s3://.

Credentials are never in a spec: boto3 reads its usual environment and files, and any S3-compatible server is reached
with `AWS_ENDPOINT_URL_S3`.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from reid.data.http_source import HttpSource
from reid.data.s3_folder import fetch_s3_folder
from reid.data.s3_source import S3Source, s3_client
from reid.data.sources import MissingObject
from reid.data.transfer import Patience, download
from reid.errors import FetchError, NoSuchSource

DEFAULT_PATIENCE = Patience()


def fetch(
    location: str, *, cache_dir: Path, max_bytes: int | None = None, patience: Patience = DEFAULT_PATIENCE
) -> Path:
    """The local file, or folder, that holds what `location` names.

    A `file://` URI is used where it is. An object is downloaded into `cache_dir` once for each of its versions. An
    `s3://` location that ends in "/", or that no object but a "folder" has, brings all images under it.

    Args:
        max_bytes: refuse a download that is larger; None for no limit.
        patience: how long a failing transfer is tried again.

    Raises:
        NoSuchSource: there is no such object or bucket, or it is no address of a known kind.
        FetchError: no network, credentials missing or refused, larger than `max_bytes`.
        StorageError: the disk is full or the cache not writable.
    """
    scheme = scheme_of(location)
    if scheme == "file":
        return _local(location)
    if scheme in ("http", "https"):
        source = HttpSource(location)
        name = unquote(urlsplit(location).path.rpartition("/")[2])
        return download(source, name=name, cache_dir=cache_dir, max_bytes=max_bytes, patience=patience)
    if scheme == "s3":
        return _s3(location, cache_dir=cache_dir, max_bytes=max_bytes, patience=patience)
    raise NoSuchSource(
        f"{location} begins with {scheme or 'no scheme'}",
        "only file://, http://, https:// and s3:// can be fetched",
        "use one of them, or a path on this machine",
    )


def scheme_of(location: str) -> str:
    """The lower-case scheme of a URI; "" for a path on this machine."""
    scheme, separator, _ = location.partition("://")
    return scheme.lower() if separator and scheme.isalnum() else ""


def _local(location: str) -> Path:
    parts = urlsplit(location)
    path = Path(url2pathname(parts.path))
    if parts.netloc not in ("", "localhost"):
        raise NoSuchSource(
            f"{location} names the machine {parts.netloc}",
            "a file:// URI is read on this machine only",
            f"write file:///{parts.netloc}{parts.path} if the first part is a folder, with three slashes",
        )
    if not path.exists():
        raise NoSuchSource(f"{location} does not exist: there is no {path}", "", "check the path")
    return path


def _s3(location: str, *, cache_dir: Path, max_bytes: int | None, patience: Patience) -> Path:
    bucket, _, key = location.partition("://")[2].partition("/")
    if not bucket:
        raise NoSuchSource(f"{location} names no bucket", "", "write s3://bucket/path/to/archive.tar.gz")
    client = s3_client()
    absent: FetchError | None = None
    if key and not key.endswith("/"):
        source = S3Source(bucket, key, client)
        name = key.rpartition("/")[2]
        try:
            return download(source, name=name, cache_dir=cache_dir, max_bytes=max_bytes, patience=patience)
        except MissingObject as missing:
            absent = missing
        key += "/"
    return fetch_s3_folder(
        client, bucket, key, absent=absent, cache_dir=cache_dir, max_bytes=max_bytes, patience=patience
    )
