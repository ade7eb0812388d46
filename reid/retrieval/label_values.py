"""Labels and paths of an embedding file as every reader understands them: whole numbers and text, or a refusal."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from reid.errors import DataError
from reid.labels import JUNK_PID
from reid.retrieval.embeddings import BoolArray, IntArray

UNKNOWN = -2
"""Identity and camera of a row for which the file gives none."""


def whole_numbers(values: npt.NDArray[Any], name: str, place: str) -> IntArray:
    """int64 [N]; `UNKNOWN` where a value is missing (null in a table reads as NaN).

    Whole numbers stay whole numbers on the way, since floating point merges neighbours: 2**60 and 2**60 + 1 are one.

    Args:
        values: [N], of any type.
        name: of the label, for messages.
        place: where the values are from, for messages.

    Raises:
        DataError: a value is no whole number from -1 on, or too large for its type to be exact; the row is named.
    """
    if np.issubdtype(values.dtype, np.integer):
        numbers, missing = values, np.zeros(len(values), np.bool_)
        wrong = (values < JUNK_PID) | (values > np.iinfo(np.int64).max)
    else:
        numbers, missing = _floats(values)
        _require_exact(numbers, values, name, place)
        wrong = ~missing & ((numbers != np.floor(numbers)) | np.isinf(numbers) | (numbers < JUNK_PID))
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"{name} of row {row} of {place} is {values[row : row + 1].tolist()[0]!r}",
            "identities and cameras are whole numbers up to 2^63 - 1, with -1 for junk and 0 for distractors",
            "number identities and cameras, and write the file again",
        )
    return np.where(missing, UNKNOWN, numbers).astype(np.int64)


def text(value: object) -> str:
    """A path as text; some programs store bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _floats(values: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float64], BoolArray]:
    """float64 [N], infinite throughout where one is no number, and bool [N], where a value is missing."""
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        numbers = np.full(len(values), np.inf)
    return numbers, np.isnan(numbers)


def _require_exact(numbers: npt.NDArray[np.float64], values: npt.NDArray[Any], name: str, place: str) -> None:
    """Refuses finite numbers so large that their type does not tell whole neighbours apart."""
    kind = values.dtype if values.dtype in (np.float16, np.float32) else numbers.dtype
    limit = 2 ** (np.finfo(kind).nmant + 1)
    merged = np.isfinite(numbers) & (numbers >= limit)
    if merged.any():
        row = int(merged.argmax())
        raise DataError(
            f"{name} of row {row} of {place} is {values[row : row + 1].tolist()[0]!r}, read as {kind}",
            f"from {limit:,} on, that type gives different whole numbers one value, so two people could become one",
            "write the labels as int64 without empty values, or number them from 1",
        )
