"""Downloads over a real HTTP server that breaks on demand, and from a real S3-compatible server."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from reid.data.archives import open_folder
from reid.data.cache import cache_folder, exclusive
from reid.data.fetch import fetch
from reid.data.transfer import Patience
from reid.errors import FetchError, StorageError
from tests.data.helpers import Site, jpeg, write_tar

QUICK = Patience(attempts=3, backoff_s=0.01)
CONTENT = os.urandom(3_000_000)


def names_below(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")


def test_a_file_uri_is_used_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "a b.tar").write_bytes(b"x")
    assert fetch((tmp_path / "a b.tar").as_uri(), cache_dir=tmp_path / "cache") == tmp_path / "a b.tar"


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("file:///no/such/file", "does not exist"),
        ("file://data/set.tar", "names the machine data"),
        ("ftp://host/a.tar", "begins with ftp"),
        ("s3:///key", "names no bucket"),
    ],
)
def test_locations_that_cannot_be_fetched_say_why(tmp_path: Path, location: str, words: str) -> None:
    with pytest.raises(FetchError, match=words):
        fetch(location, cache_dir=tmp_path)


def test_a_download_has_its_bytes_and_its_name(tmp_path: Path, site: Site) -> None:
    site.content = CONTENT
    path = fetch(f"{site.url}/a%20b/train.tar.gz?token=1", cache_dir=tmp_path, patience=QUICK)
    assert path.name == "train.tar.gz"
    assert path.read_bytes() == CONTENT
    assert names_below(tmp_path) == ["train.tar.gz"]


def test_a_second_call_transfers_nothing(tmp_path: Path, site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    site.content = CONTENT
    first = fetch(f"{site.url}/a", cache_dir=tmp_path, patience=QUICK)
    changed_at = first.stat().st_mtime_ns
    second = fetch(f"{site.url}/a", cache_dir=tmp_path, patience=QUICK)
    assert (first, changed_at) == (second, second.stat().st_mtime_ns)
    assert "3.0 MB in" in caplog.text
    assert "is in the cache" in caplog.text


def test_a_changed_object_is_another_entry(tmp_path: Path, site: Site) -> None:
    site.content = b"old"
    old = fetch(f"{site.url}/a", cache_dir=tmp_path, patience=QUICK)
    site.content, site.etag = b"new", '"v2"'
    new = fetch(f"{site.url}/a", cache_dir=tmp_path, patience=QUICK)
    assert (old.read_bytes(), new.read_bytes()) == (b"old", b"new")


@pytest.mark.parametrize("etag", ["", 'W/"v1"'])
def test_an_object_without_a_strong_version_is_fetched_each_time(tmp_path: Path, site: Site, etag: str) -> None:
    site.content, site.etag = b"old", etag
    assert fetch(f"{site.url}/a", cache_dir=tmp_path, patience=QUICK).read_bytes() == b"old"
    site.content = b"new"
    assert fetch(f"{site.url}/a", cache_dir=tmp_path, patience=QUICK).read_bytes() == b"new"


def test_a_connection_that_drops_is_resumed_where_it_broke(tmp_path: Path, site: Site) -> None:
    site.content, site.drop_after = CONTENT, [1_000_000, None]
    path = fetch(f"{site.url}/a", cache_dir=tmp_path, patience=QUICK)
    assert path.read_bytes() == CONTENT
    start = int(site.asked[-1].removeprefix("bytes=").removesuffix("-"))
    assert 0 < start <= 1_000_000


def test_a_run_that_was_killed_is_resumed_by_the_next(tmp_path: Path, site: Site) -> None:
    site.content, site.drop_after = CONTENT, [1_000_000]
    with pytest.raises(FetchError):
        fetch(f"{site.url}/a", cache_dir=tmp_path, patience=Patience(attempts=1))
    assert names_below(tmp_path) == ["a.part"]
    assert fetch(f"{site.url}/a", cache_dir=tmp_path, patience=QUICK).read_bytes() == CONTENT
    assert site.asked[-1].startswith("bytes=")
    assert names_below(tmp_path) == ["a"]


def test_many_drops_are_no_failure_while_bytes_keep_coming(tmp_path: Path, site: Site) -> None:
    site.content = CONTENT
    site.drop_after = [size for _ in range(7) for size in (400_000, 400_000)]  # whole, then rest, of each attempt
    assert fetch(f"{site.url}/a", cache_dir=tmp_path, patience=Patience(2, 0.01)).read_bytes() == CONTENT


def test_a_server_without_ranges_starts_again(tmp_path: Path, site: Site) -> None:
    site.content, site.ranges, site.drop_after = CONTENT, False, [1_000_000, None, None]
    assert fetch(f"{site.url}/a", cache_dir=tmp_path, patience=QUICK).read_bytes() == CONTENT


def test_an_object_that_changes_between_two_attempts_is_never_mixed(tmp_path: Path, site: Site) -> None:
    newer = os.urandom(len(CONTENT))

    def change(state: Site) -> None:
        state.content, state.etag = newer, '"v2"'

    site.content, site.drop_after, site.between = CONTENT, [1_000_000], change
    assert fetch(f"{site.url}/a", cache_dir=tmp_path, patience=QUICK).read_bytes() == newer


def test_a_busy_server_is_asked_again(tmp_path: Path, site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.content, site.statuses = b"x", [503, 429, 200]
    assert fetch(f"{site.url}/a", cache_dir=tmp_path, patience=QUICK).read_bytes() == b"x"
    assert "the server answered 503; trying again" in caplog.text


@pytest.mark.parametrize(
    ("status", "words", "asked"),
    [(404, "does not exist", 1), (403, "refused", 1), (401, "refused", 1), (400, "answered 400", 1), (500, "500", 3)],
)
def test_a_refusal_is_final_and_a_broken_server_is_not(
    tmp_path: Path, site: Site, status: int, words: str, asked: int
) -> None:
    site.statuses = [status] * 9
    with pytest.raises(FetchError, match=words):
        fetch(f"{site.url}/a", cache_dir=tmp_path, patience=QUICK)
    assert len(site.asked) == asked
    assert names_below(tmp_path) == []


def test_secrets_in_an_address_are_used_but_never_shown(
    tmp_path: Path, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    site.statuses = [500, 403]
    address = site.url.replace("//", "//me:pass@") + "/a?X-Amz-Signature=abc"
    with pytest.raises(FetchError) as raised:
        fetch(address, cache_dir=tmp_path, patience=QUICK)
    assert site.headers[0]["authorization"] == "Basic bWU6cGFzcw=="
    told = str(raised.value) + caplog.text
    assert "pass@" not in told
    assert "abc" not in told


def test_a_fresh_signature_does_not_fetch_again(tmp_path: Path, site: Site) -> None:
    site.content = b"x"
    first = fetch(f"{site.url}/a?X-Amz-Signature=1&part=7", cache_dir=tmp_path, patience=QUICK)
    assert fetch(f"{site.url}/a?X-Amz-Signature=2&part=7", cache_dir=tmp_path, patience=QUICK) == first
    assert fetch(f"{site.url}/a?X-Amz-Signature=2&part=8", cache_dir=tmp_path, patience=QUICK) != first


def test_no_network_says_so(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"127\.0\.0\.1:1/a could not be fetched.*3 tries.*check the address"):
        fetch("http://127.0.0.1:1/a", cache_dir=tmp_path, patience=QUICK)


def test_a_download_larger_than_allowed_is_refused_before_it_begins(tmp_path: Path, site: Site) -> None:
    site.content = CONTENT
    with pytest.raises(FetchError, match="3,000,000 bytes, more than the 2,999,999 allowed"):
        fetch(f"{site.url}/a", cache_dir=tmp_path, max_bytes=2_999_999, patience=QUICK)
    assert names_below(tmp_path) == []


def test_a_download_of_unknown_length_is_stopped_where_it_passes_the_limit(tmp_path: Path, site: Site) -> None:
    site.content, site.says_length = CONTENT, False
    with pytest.raises(FetchError, match="more than the 2,000,000 allowed"):
        fetch(f"{site.url}/a", cache_dir=tmp_path, max_bytes=2_000_000, patience=QUICK)
    assert names_below(tmp_path) == []
    assert fetch(f"{site.url}/a", cache_dir=tmp_path, patience=QUICK).read_bytes() == CONTENT


def test_a_full_disk_leaves_no_part_behind(site: Site, tiny_disk: Path) -> None:
    site.content = CONTENT
    with pytest.raises(StorageError, match=r"no space left .* dataset\.cache_dir"):
        fetch(f"{site.url}/a", cache_dir=tiny_disk, patience=QUICK)
    assert names_below(tiny_disk) == []


def test_two_processes_that_want_the_same_object_wait_for_each_other(tmp_path: Path) -> None:
    order = []

    def second() -> None:
        with exclusive(tmp_path / "entry"):
            order.append("second")

    with exclusive(tmp_path / "entry"):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.1)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_the_cache_is_where_the_desktop_rules_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "reid"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder("") == tmp_path / ".cache" / "reid"
    assert cache_folder("~/mine") == tmp_path / "mine"


def test_an_archive_behind_an_address_becomes_a_folder(tmp_path: Path, site: Site) -> None:
    site.content = write_tar(tmp_path / "a.tar.gz", {"s/1_c1.jpg": b"x"}).read_bytes()
    folder = open_folder(f"{site.url}/a.tar.gz", cache_dir=tmp_path / "cache", max_bytes=10**7, patience=QUICK)
    assert (folder / "s/1_c1.jpg").read_bytes() == b"x"


def test_an_s3_object_is_fetched_once(tmp_path: Path, s3: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    s3.put_object(Bucket=s3.bucket, Key="sets/train.tar.gz", Body=CONTENT)
    location = f"s3://{s3.bucket}/sets/train.tar.gz"
    path = fetch(location, cache_dir=tmp_path, patience=QUICK)
    assert (path.name, path.read_bytes()) == ("train.tar.gz", CONTENT)
    assert fetch(location, cache_dir=tmp_path, patience=QUICK) == path
    assert "is in the cache" in caplog.text
    s3.put_object(Bucket=s3.bucket, Key="sets/train.tar.gz", Body=b"new")
    assert fetch(location, cache_dir=tmp_path, patience=QUICK).read_bytes() == b"new"


def test_an_interrupted_s3_download_is_resumed(tmp_path: Path, s3: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    s3.put_object(Bucket=s3.bucket, Key="a", Body=CONTENT)
    path = fetch(f"s3://{s3.bucket}/a", cache_dir=tmp_path, patience=QUICK)
    path.with_name("a.part").write_bytes(CONTENT[:1_000_000])
    path.unlink()
    assert fetch(f"s3://{s3.bucket}/a", cache_dir=tmp_path, patience=QUICK).read_bytes() == CONTENT
    assert "resuming" in caplog.text
    assert "2.0 MB in" in caplog.text


def test_a_part_with_wrong_bytes_is_found_by_its_md5_and_fetched_again(
    tmp_path: Path, s3: Any, caplog: pytest.LogCaptureFixture
) -> None:
    s3.put_object(Bucket=s3.bucket, Key="a", Body=CONTENT)
    path = fetch(f"s3://{s3.bucket}/a", cache_dir=tmp_path, patience=QUICK)
    path.with_name("a.part").write_bytes(b"wrong")
    path.unlink()
    assert fetch(f"s3://{s3.bucket}/a", cache_dir=tmp_path, patience=QUICK).read_bytes() == CONTENT
    assert f"the source states {hashlib.md5(CONTENT).hexdigest()}" in caplog.text


def test_an_object_uploaded_in_parts_has_no_md5_and_is_fetched_all_the_same(tmp_path: Path, s3: Any) -> None:
    upload = s3.create_multipart_upload(Bucket=s3.bucket, Key="a")["UploadId"]
    parts = []
    for number, body in enumerate((bytes(5 << 20), b"end"), 1):
        answer = s3.upload_part(Bucket=s3.bucket, Key="a", UploadId=upload, PartNumber=number, Body=body)
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
    s3.complete_multipart_upload(Bucket=s3.bucket, Key="a", UploadId=upload, MultipartUpload={"Parts": parts})
    assert fetch(f"s3://{s3.bucket}/a", cache_dir=tmp_path, patience=QUICK).stat().st_size == (5 << 20) + 3


def test_a_presigned_address_is_fetched(tmp_path: Path, s3: Any) -> None:
    s3.put_object(Bucket=s3.bucket, Key="a.tar", Body=b"x")
    address = s3.generate_presigned_url("get_object", Params={"Bucket": s3.bucket, "Key": "a.tar"})
    assert fetch(address, cache_dir=tmp_path, patience=QUICK).read_bytes() == b"x"


@pytest.mark.parametrize("ending", ["", "/"])
def test_the_images_under_a_prefix_are_fetched(tmp_path: Path, s3: Any, ending: str) -> None:
    images = {"1_c1.jpg": jpeg(1), "more/2_c1.PNG": jpeg(2)}
    for name, body in images.items():
        s3.put_object(Bucket=s3.bucket, Key=f"train/{name}", Body=body)
    s3.put_object(Bucket=s3.bucket, Key="train/", Body=b"")
    s3.put_object(Bucket=s3.bucket, Key="train/readme.txt", Body=b"x")
    s3.put_object(Bucket=s3.bucket, Key="train2/3_c1.jpg", Body=b"x")
    location = f"s3://{s3.bucket}/train{ending}"
    folder = open_folder(location, cache_dir=tmp_path, max_bytes=10**6, patience=QUICK)
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == images
    assert open_folder(location, cache_dir=tmp_path, max_bytes=10**6, patience=QUICK) == folder


def test_a_prefix_above_archives_names_them(tmp_path: Path, s3: Any) -> None:
    s3.put_object(Bucket=s3.bucket, Key="sets/train.tar.gz", Body=b"x")
    with pytest.raises(FetchError, match=r"no image lies under .* first objects are train\.tar\.gz"):
        fetch(f"s3://{s3.bucket}/sets", cache_dir=tmp_path, patience=QUICK)


def test_a_prefix_larger_than_allowed_is_refused(tmp_path: Path, s3: Any) -> None:
    s3.put_object(Bucket=s3.bucket, Key="train/1_c1.jpg", Body=b"12345")
    with pytest.raises(FetchError, match="5 bytes, more than the 4 allowed"):
        fetch(f"s3://{s3.bucket}/train/", cache_dir=tmp_path, max_bytes=4, patience=QUICK)


def test_a_key_that_leads_out_of_its_folder_is_refused(tmp_path: Path, s3: Any) -> None:
    s3.put_object(Bucket=s3.bucket, Key="train/../evil.jpg", Body=b"x")
    with pytest.raises(FetchError, match="written outside its folder"):
        fetch(f"s3://{s3.bucket}/train/", cache_dir=tmp_path / "cache", patience=QUICK)
    assert not (tmp_path / "cache").exists()


def test_a_missing_key_and_a_missing_bucket_are_told_apart(tmp_path: Path, s3: Any) -> None:
    with pytest.raises(FetchError, match=r"/gone\.tar does not exist in its bucket"):
        fetch(f"s3://{s3.bucket}/gone.tar", cache_dir=tmp_path, patience=QUICK)
    with pytest.raises(FetchError, match="nothing lies under"):
        fetch(f"s3://{s3.bucket}/gone/", cache_dir=tmp_path, patience=QUICK)
    with pytest.raises(FetchError, match=r"the bucket no-such-bucket-here .* does not exist"):
        fetch("s3://no-such-bucket-here/a", cache_dir=tmp_path, patience=QUICK)


def test_no_credentials_name_the_variables(tmp_path: Path, aws_environment: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        aws_environment.delenv(name)
    with pytest.raises(FetchError, match="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        fetch("s3://bucket/a", cache_dir=tmp_path, patience=QUICK)


def test_an_unknown_profile_is_named(tmp_path: Path, aws_environment: pytest.MonkeyPatch) -> None:
    aws_environment.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(FetchError, match="nobody"):
        fetch("s3://bucket/a", cache_dir=tmp_path, patience=QUICK)


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (403, "SignatureDoesNotMatch", "refused the credentials .* AWS_SECRET_ACCESS_KEY"),
        (403, "InvalidAccessKeyId", "refused the credentials"),
        (403, "AccessDenied", "denied access .* s3:GetObject"),
        (400, "ExpiredToken", "AWS_SESSION_TOKEN"),
    ],
)
def test_refused_credentials_say_what_to_check(
    tmp_path: Path, site: Site, aws_environment: pytest.MonkeyPatch, status: int, code: str, words: str
) -> None:
    site.statuses = [status]
    site.body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    aws_environment.setenv("AWS_ENDPOINT_URL_S3", site.url)
    with pytest.raises(FetchError, match=words):
        fetch("s3://bucket/a", cache_dir=tmp_path, patience=QUICK)
    assert len(site.asked) == 1


def test_a_busy_s3_endpoint_is_asked_again(
    tmp_path: Path, site: Site, aws_environment: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    site.content, site.statuses = b"x", [503, 200]
    site.body = b"<Error><Code>SlowDown</Code></Error>"
    aws_environment.setenv("AWS_ENDPOINT_URL_S3", site.url)
    assert fetch("s3://bucket/a", cache_dir=tmp_path, patience=QUICK).read_bytes() == b"x"
    assert "503 SlowDown; trying again" in caplog.text


def test_an_s3_endpoint_that_drops_the_connection_is_resumed(
    tmp_path: Path, site: Site, aws_environment: pytest.MonkeyPatch
) -> None:
    site.content, site.drop_after = CONTENT, [2_000_000]
    aws_environment.setenv("AWS_ENDPOINT_URL_S3", site.url)
    assert fetch("s3://bucket/a", cache_dir=tmp_path, patience=QUICK).read_bytes() == CONTENT
    assert site.asked[-1].startswith("bytes=")


def test_an_endpoint_that_does_not_answer_is_told(tmp_path: Path, aws_environment: pytest.MonkeyPatch) -> None:
    aws_environment.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(FetchError, match="could not be fetched: connection lost"):
        fetch("s3://bucket/a", cache_dir=tmp_path, patience=QUICK)
