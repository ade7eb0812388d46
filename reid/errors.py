"""Everything this package raises on purpose.

    ReidError                  1  anything below
    ├── SpecError              2  the experiment spec or the command line is wrong
    ├── DataError              2  images, names, identities or embeddings cannot be used
    │   └── ArchiveError       2  an archive is truncated, unsafe or of an unknown kind
    ├── CheckpointError        2  a checkpoint is missing, damaged or of another network
    ├── FetchError             1  a source could not be reached, or refused us
    │   └── NoSuchSource       2  there is nothing at that address
    ├── StorageError           1  the disk is full or not writable; final names are untouched
    ├── ExportError            1  the exported network does not equal the trained one
    ├── TrackingError          1  MLflow cannot be reached or does not know the run or model
    └── PromotionRefused       1  the challenger is not better than the champion

    Terminated               143  SIGTERM asked this process to stop; a SystemExit

The number is the exit code of the command line: 2 where what the user gave must be changed, a spec, data or a file that
was named; 1 where the same command may succeed another time, in another place or for another model.

Each ReidError has three parts: what was found (numbers, place), why that cannot work, what to do next. `str()` joins
them.
"""

from __future__ import annotations


class ReidError(Exception):
    """Base of all errors that this package raises on purpose.

    Args:
        found: what was found, with numbers and the place.
        why: why it cannot work; empty where `found` says it.
        fix: what the reader can do next.
    """

    exit_code = 1

    def __init__(self, found: str, why: str = "", fix: str = "") -> None:
        super().__init__(found, why, fix)
        self.found = found
        self.why = why
        self.fix = fix

    def __str__(self) -> str:
        return " ".join(_sentence(part) for part in (self.found, self.why, self.fix) if part)


class SpecError(ReidError):
    """The experiment spec or the command line is wrong: unknown key, value out of bounds, missing mandatory value."""

    exit_code = 2


class DataError(ReidError):
    """Images, names, identities or embeddings cannot be used as they are."""

    exit_code = 2


class ArchiveError(DataError):
    """An archive is truncated, would write outside its folder, is larger than allowed, or is of an unknown kind."""


class CheckpointError(ReidError):
    """A checkpoint is missing, ambiguous, damaged, or belongs to another network."""

    exit_code = 2


class FetchError(ReidError):
    """A source could not be reached, or refused the credentials."""


class NoSuchSource(FetchError):
    """There is nothing at the address of a source, or it is no address that can be fetched."""

    exit_code = 2


class StorageError(ReidError):
    """The disk is full or not writable. Nothing is left under a final name."""


class ExportError(ReidError):
    """The exported network does not compute what the trained network computes."""


class TrackingError(ReidError):
    """MLflow cannot be reached, or does not know the run or model that was named."""


class PromotionRefused(ReidError):
    """The challenger is not better than the champion on the same test set; the alias stays where it was."""


class Terminated(SystemExit):
    """SIGTERM asked this process to stop, and its work is in order. Exit code 143: 128 and the signal's number.

    Args:
        advice: how to go on.
    """

    def __init__(self, advice: str = "") -> None:
        super().__init__(143)
        self.advice = advice

    def __str__(self) -> str:
        return " ".join(part for part in ("Asked to stop by SIGTERM.", self.advice) if part)


def _sentence(text: str) -> str:
    return text if text[-1] in ".!?" else f"{text}."
