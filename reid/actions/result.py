"""What every action returns: where it wrote, what it measured, which files to look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ActionResult:
    """The outcome of one action.

    Attributes:
        action: the verb, e.g. "train".
        results_dir: the folder that was written.
        figures: headline figures by name; fractions, counts or short words.
        files: what to look at, by a short name.
        run_id: MLflow run, when tracking is on.
        intervals: low and high of the 95 % interval of those figures that have one.
    """

    action: str
    results_dir: Path
    figures: dict[str, float | int | str] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    run_id: str | None = None
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "action": self.action,
            "results_dir": str(self.results_dir),
            "figures": dict(self.figures),
            "files": {name: str(path) for name, path in self.files.items()},
            "run_id": self.run_id,
            "intervals": {name: list(ends) for name, ends in self.intervals.items()},
        }
