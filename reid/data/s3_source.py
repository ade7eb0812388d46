"""Objects in S3 and everything that speaks its protocol, and what each refusal means to the person who asked."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

from reid.data.sources import (
    CHUNK_BYTES,
    CONNECT_TIMEOUT_S,
    READ_TIMEOUT_S,
    MissingObject,
    Stream,
    TransientError,
    content_range,
)
from reid.errors import FetchError, NoSuchSource

S3Client = Any
"""boto3 makes the class of its clients at run time."""


@dataclass(frozen=True)
class S3Source:
    """An object in a bucket; endpoint and credentials come from boto3's usual environment and files."""

    bucket: str
    key: str
    client: S3Client

    @property
    def label(self) -> str:
        """The location as the user writes it."""
        return f"s3://{self.bucket}/{self.key}"

    @property
    def identity(self) -> str:
        """The endpoint counts: the same bucket name elsewhere is another bucket."""
        return f"{self.client.meta.endpoint_url} {self.label}"

    @contextmanager
    def open(self, start: int = 0, version: str = "") -> Iterator[Stream]:
        """One GetObject; its errors say more than HeadObject's. `If-Match` refuses a changed object."""
        asked = {"Range": f"bytes={start}-"} if start else {}
        asked |= {"IfMatch": version} if version else {}
        with s3_errors(self.label):
            answer = self.client.get_object(Bucket=self.bucket, Key=self.key, **asked)
        try:
            first, size = content_range(answer.get("ContentRange", ""))
            etag = answer.get("ETag", "")
            yield Stream(
                start=first,
                size=answer["ContentLength"] if size is None else size,
                version=etag,
                md5=_md5_of_etag(etag, answer.get("ServerSideEncryption", "")),
                chunks=self._chunks(answer["Body"]),
                close=answer["Body"].close,
            )
        finally:
            answer["Body"].close()

    def _chunks(self, body: Any) -> Iterator[bytes]:
        with s3_errors(self.label):
            yield from body.iter_chunks(CHUNK_BYTES)


def s3_client() -> S3Client:
    """A client for any S3-compatible endpoint.

    A custom endpoint (`AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`) is addressed by path, since few of them answer under
    `bucket.host`; checksums that only AWS knows are left out. Retries are ours, so boto3's are off.

    Raises:
        FetchError: the environment names a profile or settings that boto3 cannot use.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    custom = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"total_max_attempts": 1},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        max_pool_connections=32,
        s3={"addressing_style": "path"} if custom else None,
    )
    try:
        return boto3.session.Session().client("s3", config=config)
    except (BotoCoreError, ValueError) as error:
        raise FetchError(
            f"no S3 client can be made: {error}",
            "",
            "check AWS_PROFILE, AWS_ENDPOINT_URL_S3 and the files under ~/.aws",
        ) from error


@contextmanager
def s3_errors(label: str) -> Iterator[None]:
    """Turns boto3's errors into `TransientError` or a `FetchError` that names `label` and what to do."""
    from botocore import exceptions as boto

    try:
        yield
    except boto.ClientError as error:
        _refuse_s3(label, error)
    except (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError) as error:
        raise FetchError(
            f"no usable S3 credentials for {label}: {error}",
            "the request could not be signed",
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
        ) from error
    except (boto.ParamValidationError, boto.InvalidRegionError) as error:
        raise FetchError(f"{label} cannot be asked for: {error}", "", "write s3://bucket/path/to/object") from error
    except boto.SSLError as error:
        raise FetchError(
            f"{label} could not be reached safely: {error}",
            "the endpoint's certificate is not trusted by this machine",
            "set AWS_CA_BUNDLE to the certificate of your organisation's authority",
        ) from error
    except (boto.BotoCoreError, OSError) as error:
        raise TransientError(f"connection lost: {error}") from error


def _refuse_s3(label: str, error: Any) -> NoReturn:
    code = error.response.get("Error", {}).get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    bucket = label.removeprefix("s3://").split("/", 1)[0]
    if code == "NoSuchBucket":
        raise NoSuchSource(
            f"the bucket {bucket} of {label} does not exist",
            "",
            "check the name, and AWS_ENDPOINT_URL_S3 if the bucket is not on AWS",
        ) from error
    if code in ("NoSuchKey", "404") or status == 404:
        raise MissingObject(f"{label} does not exist in its bucket", "", "check the path after the bucket") from error
    if code in ("PreconditionFailed", "InvalidRange") or status in (412, 416):
        raise TransientError("the object changed during the download") from error
    if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "RequestTimeTooSkewed"):
        raise FetchError(
            f"the S3 endpoint refused the credentials for {label} ({code})",
            "the key is unknown there, its secret is wrong, or the session or the clock is out of date",
            "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, and the endpoint they belong to",
        ) from error
    if status in (401, 403):
        raise FetchError(
            f"the S3 endpoint denied access to {label} ({code or status})",
            "the credentials are known but may not read it, or the object is absent and may not be listed",
            "ask for s3:GetObject and s3:ListBucket on this path, or use other credentials",
        ) from error
    if status >= 500 or code in ("SlowDown", "RequestTimeout", "Throttling", "ThrottlingException"):
        raise TransientError(f"the endpoint answered {status} {code}") from error
    raise FetchError(
        f"the S3 endpoint answered {status} {code} for {label}: {error}", "", "check the location"
    ) from error


def _md5_of_etag(etag: str, encryption: str) -> str:
    """S3 states the MD5 as the ETag of an object uploaded in one part and not encrypted with a managed key."""
    plain = etag.strip('"').lower()
    return plain if re.fullmatch(r"[0-9a-f]{32}", plain) and encryption in ("", "AES256") else ""
