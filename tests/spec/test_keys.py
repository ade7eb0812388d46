import json
import re
from pathlib import Path

import pytest

from reid.spec.keys import spec_keys

_REFERENCE = Path(__file__).parents[2].parent / "shared" / "reference" / "tao.md"
_ROW = re.compile(r"^\| `([\w.]+)` \| (\w+) \| (\S.*?) \| (.*?) \| (.*?) \|", re.MULTILINE)


def _rows():
    if not _REFERENCE.is_file():
        return []
    section = _REFERENCE.read_text(encoding="utf-8").split("\n## 2.")[0]
    return [match.groups() for match in _ROW.finditer(section)]


def _flags(key):
    return [*(["popular"] if key.popular else []), *({True: ["AUTOML"], False: ["automl off"]}.get(key.automl, []))]


@pytest.fixture(scope="module")
def rows():
    found = _rows()
    if not found:
        pytest.skip("the reference table of TAO's keys is not beside this checkout")
    return found


def test_every_key_of_the_reference_is_a_key_of_the_spec(rows):
    assert len(rows) == 128
    assert [path for path, *_ in rows if path not in spec_keys()] == []


def test_every_key_has_the_type_default_bounds_and_flags_of_the_reference(rows):
    differences = []
    for path, kind, default, bounds, flags in rows:
        key = spec_keys()[path]
        expected_default = "???" if "???" in default else json.loads(default.strip("`"))
        limits = re.match(r"\[(\S+), (\S+)\]", bounds)
        expected_bounds = (None, None)
        if limits:
            upper = limits[2]
            expected_bounds = (float(limits[1]), None if upper in ("inf", "-") else float(upper))
        ours = ("???" if key.mandatory else key.default, key.tao_type, (key.tao_minimum, key.tao_maximum), _flags(key))
        theirs = (expected_default, kind, expected_bounds, [flag for flag in flags.strip().split(", ") if flag])
        if ours != theirs:
            differences.append((path, ours, theirs))
    assert differences == []


def test_a_key_that_is_not_in_the_reference_is_marked_as_ours(rows):
    known = {path for path, *_ in rows}
    assert {key.path for key in spec_keys().values() if not key.ours} == known


def test_every_key_is_described_by_a_sentence():
    bad = [key.path for key in spec_keys().values() if not key.description.endswith(".") or len(key.description) > 220]
    assert bad == []


def test_default_values_lie_within_the_bounds_that_the_written_schemas_give():
    for key in spec_keys().values():
        if isinstance(key.default, int | float) and key.tao_minimum is not None:
            assert key.default >= key.tao_minimum, key.path
        if isinstance(key.default, int | float) and key.tao_maximum is not None:
            assert key.default <= key.tao_maximum, key.path
