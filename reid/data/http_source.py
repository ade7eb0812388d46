"""Objects behind http:// and https://, and what each refusal means to the person who asked."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from reid.data.sources import CHUNK_BYTES, CONNECT_TIMEOUT_S, READ_TIMEOUT_S, Stream, TransientError, content_range
from reid.errors import FetchError, NoSuchSource


@dataclass(frozen=True)
class HttpSource:
    """An object behind http:// or https://. Proxies are taken from the usual environment variables."""

    url: str

    @property
    def label(self) -> str:
        """The address without user, password and query."""
        parts = urlsplit(self.url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))

    @property
    def identity(self) -> str:
        """The address without the parameters of a presigned S3 request."""
        parts = urlsplit(self.url)
        query = [(key, value) for key, value in parse_qsl(parts.query) if not key.lower().startswith("x-amz-")]
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, urlencode(query), ""))

    @contextmanager
    def open(self, start: int = 0, version: str = "") -> Iterator[Stream]:
        """One GET, for presigned addresses refuse HEAD; `If-Range` makes a changed object come whole."""
        import urllib3

        headers = {"Accept-Encoding": "identity"}
        if start:
            headers |= {"Range": f"bytes={start}-", "If-Range": version}
        credentials = urlsplit(self.url).netloc.rpartition("@")[0]
        if credentials:
            headers |= urllib3.make_headers(basic_auth=credentials)
        try:
            response = self._pool.request("GET", self.url, headers=headers, preload_content=False, decode_content=False)
        except urllib3.exceptions.LocationParseError as error:
            raise NoSuchSource(f"{self.label} is not a valid address", "", "correct it") from error
        except urllib3.exceptions.MaxRetryError as error:
            if isinstance(error.reason, urllib3.exceptions.SSLError):
                raise FetchError(
                    f"{self.label} could not be reached safely: {error.reason}",
                    "the server's certificate is not trusted by this machine",
                    "set SSL_CERT_FILE to the certificate of your organisation's authority",
                ) from error
            raise TransientError(f"no connection: {error.reason}") from error
        try:
            self._refuse(response.status, start)
            first, size = content_range(response.headers.get("Content-Range", "") if response.status == 206 else "")
            if response.status == 200 and "Content-Length" in response.headers:
                size = int(response.headers["Content-Length"])
            yield Stream(
                start=first,
                size=size,
                version=_strong_version(response.headers),
                md5="",
                chunks=_until_lost(response.stream(CHUNK_BYTES, decode_content=False), urllib3.exceptions.HTTPError),
                close=response.close,
            )
        finally:
            response.close()

    @cached_property
    def _pool(self) -> Any:
        import urllib3

        parts = urlsplit(self.url)
        settings: dict[str, Any] = {
            "timeout": urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=READ_TIMEOUT_S),
            "retries": urllib3.Retry(total=5, connect=0, read=0, redirect=5, status=0, other=0),
        }
        proxy = urllib.request.getproxies().get(parts.scheme)
        if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
            return urllib3.ProxyManager(proxy, **settings)
        return urllib3.PoolManager(**settings)

    def _refuse(self, status: int, start: int) -> None:
        if status in (200, 206):
            return
        if status == 416 and start:
            raise TransientError("the object is shorter than what was already here")
        if status in (408, 425, 429) or status >= 500:
            raise TransientError(f"the server answered {status}")
        if status in (404, 410):
            raise NoSuchSource(f"{self.label} does not exist (the server answered {status})", "", "check the address")
        if status in (401, 403):
            raise FetchError(
                f"the server refused {self.label} (it answered {status})",
                "the address needs credentials, or its signature has expired",
                "use a fresh presigned address, https://user:password@host/..., or s3:// with credentials",
            )
        raise FetchError(f"the server answered {status} for {self.label}", "", "check the address")


def _until_lost(chunks: Iterator[bytes], lost: type[Exception]) -> Iterator[bytes]:
    try:
        yield from chunks
    except (lost, OSError) as error:
        raise TransientError(f"connection lost: {error}") from error


def _strong_version(headers: Any) -> str:
    """A strong ETag, else the date of the last change; weak ETags do not promise equal bytes."""
    etag = str(headers.get("ETag", ""))
    return etag if etag and not etag.startswith("W/") else str(headers.get("Last-Modified", ""))
