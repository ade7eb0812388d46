"""The demo, and after it the shell lines of the documents as they stand: who copies them gets what is promised."""

from __future__ import annotations

import re

import pytest
from PIL import Image

from tests.orchestration.helpers import BIN, ROOT, Project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

DOCUMENTS = ("README.md", "docs/quickstart.md", "docs/data.md", "docs/orchestration.md", "docs/search.md")
PROGRAMS = {"reid", "re_identification", ".venv/bin/reid", "dvc", "git", "tar"}
HERE = {
    "s3://bucket/train.tar.gz": "data/mine/train.tar.gz",
    "s3://bucket/gallery.tar.gz": "data/mine/test.tar.gz",
    "s3://bucket/test.tar.gz": "data/mine/test.tar.gz",
    "s3://bucket/query.tar.gz": "data/mine/query.tar.gz",
    "s3://bucket/dvc": "../remote",
    "train.num_epochs=60": "train.num_epochs=1",
    ".venv/bin/reid train": ".venv/bin/reid spec check --action train",
}
"""What stands for a bucket, and for the hours of a real training."""

ELSEWHERE = ("dvc remote modify storage endpointurl", "dvc exp run -S train.num_epochs=")
"""Run by other tests: against a real server by test_s3.py, and with a look at what it trains by test_dvc.py."""


def shell_lines(document: str) -> list[str]:
    """The commands of `PROGRAMS` in indented blocks and in fences of a shell; continued lines joined, comments gone."""
    text = (ROOT / document).read_text(encoding="utf-8")
    fences = re.findall(r"^```(?:sh|bash)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    indented = re.findall(
        r"(?:^    .*\n)+", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE
    )
    lines = [line for block in fences + indented for line in block.replace("\\\n", " ").splitlines()]
    lines = [" ".join(line.partition(" #")[0].split()) for line in lines]
    return [line for line in lines if line.split(maxsplit=1)[:1] and line.split(maxsplit=1)[0] in PROGRAMS]


def test_the_lines_that_a_reader_copies_are_found() -> None:
    assert shell_lines("docs/data.md") == [
        "reid dataset check dataset.train_dataset_dir=s3://bucket/train.tar.gz "
        "dataset.query_dataset_dir=s3://bucket/query.tar.gz dataset.test_dataset_dir=s3://bucket/test.tar.gz"
    ]
    assert shell_lines("docs/orchestration.md")[:2] == ["dvc repro", "dvc repro"]


def test_the_demo_uses_its_own_servers_and_every_documented_line_runs_after_it(project: Project) -> None:
    _run_demo(project)
    _prepare(project)
    seen: set[str] = set()
    for document in DOCUMENTS:
        for line in shell_lines(document):
            command = line
            for there, here in HERE.items():
                command = command.replace(there, here)
            if command in seen or command.startswith(ELSEWHERE):
                continue
            seen.add(command)
            done = project.run("sh", "-c", f"{command}\necho ended with $?", check=False)
            assert done.endswith("ended with 0\n"), f"{document}: {line}\nrun as: {command}\n{done}"


def _run_demo(project: Project) -> None:
    """As `make demo` does, on a small sample, where the user's environment points to servers that do not answer."""
    project.run("dvc", "repro", "--quiet", "sample")
    said = project.run(
        "python", "-m", "flows.demo", PREFECT_API_URL="http://127.0.0.1:9/api", MLFLOW_TRACKING_URI="http://127.0.0.1:9"
    )
    assert "on unseen people" in said
    *_, last_row, border = said.rstrip().splitlines()  # the table is the last word: no server speaks below it
    assert "docs/quickstart.md" in last_row
    assert set(border) <= set("└┴─┘")
    assert (project.folder / ".prefect" / "prefect.db").is_file()
    assert (project.folder / "mlflow.db").is_file()


def _prepare(project: Project) -> None:
    """What the documents assume: an environment, archives of one's own, a spec, and pictures of things."""
    (project.folder / ".venv").symlink_to(BIN.parent, target_is_directory=True)
    size = ("--identities", "32", "--cameras", "2", "--images-per-camera", "2")  # 16 to train: the default batch
    project.run("reid", "sample", *size, "--out", "data/mine")
    for name in ("train", "test", "query"):
        archive = project.folder / "data" / "mine" / f"sample_{name}.tar.gz"
        archive.rename(archive.with_name(f"{name}.tar.gz"))
    spec = (project.folder / "params.yaml").read_text()
    (project.folder / "spec.yaml").write_text(spec.replace("results_dir: results", "results_dir: results_of_spec"))
    for folder, colour in {"references/apple": "red", "references/pear": "yellow", "new/kiwi": "green"}.items():
        (project.folder / folder).mkdir(parents=True)
        for number in range(2):
            Image.new("RGB", (48 + number, 96), colour).save(project.folder / folder / f"{number}.jpg")
    Image.new("RGB", (50, 90), "green").save(project.folder / "picture.jpg")
