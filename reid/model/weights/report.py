"""What a source of initial weights gave to a network, and what it did not and why, for people and for files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Mismatch:
    """A tensor that both have, of different shapes: it starts from random values."""

    name: str
    in_source: tuple[int, ...]
    in_network: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.in_source} for {self.in_network}"


@dataclass(frozen=True)
class WeightReport:
    """What a network took from a source.

    Attributes:
        source: where the weights came from.
        layout: short name of the program whose names they bear.
        title: the same in words.
        loaded: tensors of the backbone that were taken.
        total: tensors of the backbone.
        parts: what was taken beside the backbone: "reduction", "embedder", "neck".
        missing: tensors of the backbone that the source does not have.
        mismatched: tensors of the backbone that have another shape there.
        left_out: names in the source that were not taken, by the reason why.
        sha256: of the file; "" where there is none.
        module: "embedder" where all this is said of the embedder instead of the backbone.
    """

    source: str
    layout: str
    title: str
    loaded: int
    total: int
    parts: tuple[str, ...]
    missing: tuple[str, ...]
    mismatched: tuple[Mismatch, ...]
    left_out: dict[str, tuple[str, ...]]
    sha256: str = ""
    module: str = "backbone"

    def __str__(self) -> str:
        taken = ", ".join([f"{self.loaded} of {self.total} {self.module} tensors", *self.parts])
        lines = [f"{taken} from {self.source}, read as {self.title}"]
        if self.missing:
            lines.append(f"not in it: {some(self.missing)}")
        if self.mismatched:
            lines.append(f"of another shape: {some([str(tensor) for tensor in self.mismatched])}")
        lines += [f"not taken: {some(names)} ({reason})" for reason, names in self.left_out.items()]
        return "; ".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for checkpoints and JSON."""
        return {
            "source": self.source,
            "sha256": self.sha256,
            "layout": self.layout,
            f"{self.module}_tensors": self.total,
            "loaded": self.loaded,
            "parts": list(self.parts),
            "missing": list(self.missing),
            "mismatched": [
                {"name": m.name, "in_source": list(m.in_source), "in_network": list(m.in_network)}
                for m in self.mismatched
            ],
            "left_out": [{"why": reason, "names": list(names)} for reason, names in self.left_out.items()],
        }


def by_reason(reasons: dict[str, str]) -> dict[str, tuple[str, ...]]:
    """Names by the reason they share, for `left_out`; both in alphabetical order."""
    return {
        reason: tuple(sorted(name for name in reasons if reasons[name] == reason))
        for reason in sorted(set(reasons.values()))
    }


def some(names: tuple[str, ...] | list[str], count: int = 3) -> str:
    """The first few names, and how many more there are."""
    if not names:
        return "none"
    return ", ".join(names[:count]) + (f" and {len(names) - count} more" if len(names) > count else "")
