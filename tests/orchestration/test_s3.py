"""Archives in a real S3-compatible server: versioned there by DVC, and read from there by an action."""

from __future__ import annotations

import hashlib
import logging
import shutil
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from boto3.s3.transfer import TransferConfig

from reid.actions.dataset import dataset
from reid.data.fetch import fetch
from reid.errors import FetchError
from reid.spec.load import load_spec
from tests.orchestration.ceph import SECRET_KEY, Ceph
from tests.orchestration.helpers import Project

pytestmark = pytest.mark.slow

ARCHIVES = ("sample_train", "sample_test", "sample_query")
MIB = 2**20


@pytest.fixture
def s3(ceph: Ceph, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ceph.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    return boto3.session.Session().client("s3")  # the default session remembers the credentials of other tests


def test_archives_pushed_by_dvc_are_pulled_back_and_read_from_s3(project: Project, ceph: Ceph, s3: Any) -> None:
    s3.create_bucket(Bucket="versions")
    project.run("dvc", "repro", "--quiet", "sample")
    before = {name: (project.folder / "data" / "sample" / f"{name}.tar.gz").read_bytes() for name in ARCHIVES}
    project.run("dvc", "remote", "add", "--default", "storage", "s3://versions/dvc")
    project.run("dvc", "remote", "modify", "storage", "endpointurl", ceph.endpoint)
    assert "3 files pushed" in project.run("dvc", "push", "sample", **ceph.environment)

    shutil.rmtree(project.folder / "data")
    shutil.rmtree(project.folder / ".dvc" / "cache")
    project.run("dvc", "pull", "sample", **ceph.environment)
    assert {name: (project.folder / "data" / "sample" / f"{name}.tar.gz").read_bytes() for name in ARCHIVES} == before

    s3.create_bucket(Bucket="datasets")
    for name, content in before.items():
        s3.put_object(Bucket="datasets", Key=f"market/{name}.tar.gz", Body=content)
    places = [
        f"dataset.{kind}_dataset_dir=s3://datasets/market/sample_{kind}.tar.gz" for kind in ("train", "test", "query")
    ]
    given = [*places, f"dataset.cache_dir={project.folder}/cache", f"results_dir={project.folder}/results"]
    spec = load_spec("dataset", project.folder / "params.yaml", [*given, "mlflow.enable=false"]).spec
    assert dataset(spec).figures["train_images"] == 24  # 6 people, 2 cameras, 2 images each


def test_a_wrong_secret_is_refused_with_what_to_check(s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.create_bucket(Bucket="locked")
    s3.put_object(Bucket="locked", Key="a.tar.gz", Body=b"anything")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY[::-1])
    with pytest.raises(FetchError, match="refused the credentials") as refused:
        fetch("s3://locked/a.tar.gz", cache_dir=tmp_path)
    assert "AWS_SECRET_ACCESS_KEY" in refused.value.fix


def test_an_archive_uploaded_in_parts_arrives_whole_and_resumes_where_it_broke(
    s3: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = np.random.default_rng(0).bytes(12 * MIB + 1)
    (tmp_path / "big").write_bytes(content)
    s3.create_bucket(Bucket="parts")
    s3.upload_file(
        str(tmp_path / "big"),
        "parts",
        "big.tar.gz",
        Config=TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB),
    )
    assert s3.head_object(Bucket="parts", Key="big.tar.gz")["ETag"].endswith('-3"')  # three parts

    whole = fetch("s3://parts/big.tar.gz", cache_dir=tmp_path / "cache")
    whole.rename(whole.with_name(whole.name + ".part"))
    with whole.with_name(whole.name + ".part").open("r+b") as part:
        part.truncate(7 * MIB)
    with caplog.at_level(logging.INFO, logger="reid"):
        again = fetch("s3://parts/big.tar.gz", cache_dir=tmp_path / "cache")
    assert "resuming" in caplog.text
    assert hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(content).digest()
