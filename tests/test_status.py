"""status.json: one JSON object a line, figures as numbers, nothing sticky."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from reid.status import StatusLog


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_record_has_taos_fields(tmp_path: Path) -> None:
    StatusLog(tmp_path / "status.json").write("STARTED", "Starting.")

    (record,) = lines(tmp_path / "status.json")
    assert list(record) == ["date", "time", "status", "verbosity", "message"]
    assert re.fullmatch(r"\d{1,2}/\d{1,2}/\d{4}", str(record["date"]))
    assert re.fullmatch(r"\d{1,2}:\d{1,2}:\d{1,2}", str(record["time"]))
    assert (record["status"], record["verbosity"], record["message"]) == ("STARTED", "INFO", "Starting.")


def test_figures_stay_numbers_and_are_not_repeated_in_later_records(tmp_path: Path) -> None:
    log = StatusLog(tmp_path / "status.json")
    log.write("RUNNING", "Measured.", kpi={"mAP": 0.8594321098765}, epoch=3)
    log.write("RUNNING", "Done.")

    first, second = lines(tmp_path / "status.json")
    assert first["kpi"] == {"mAP": 0.8594321098765}
    assert first["epoch"] == 3
    assert "kpi" not in second


def test_a_failure_is_marked_as_an_error(tmp_path: Path) -> None:
    StatusLog(tmp_path / "status.json").write("FAILURE", "No space left.")

    assert lines(tmp_path / "status.json")[0]["verbosity"] == "ERROR"


def test_the_records_of_an_earlier_run_stay(tmp_path: Path) -> None:
    for message in ("first", "second"):
        StatusLog(tmp_path / "status.json").write("STARTED", message)

    assert [record["message"] for record in lines(tmp_path / "status.json")] == ["first", "second"]


def test_processes_other_than_the_main_one_write_nothing(tmp_path: Path) -> None:
    StatusLog(tmp_path / "status.json", enabled=False).write("STARTED", "Starting.")

    assert not (tmp_path / "status.json").exists()


def test_a_value_that_json_does_not_know_leaves_no_half_line(tmp_path: Path) -> None:
    log = StatusLog(tmp_path / "status.json")

    with pytest.raises(ValueError, match="JSON compliant"):
        log.write("RUNNING", "Measured.", kpi={"mAP": float("nan")})

    assert not (tmp_path / "status.json").exists()
