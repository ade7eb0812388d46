"""Draws docs/images/pipeline.png, which step reads and writes what: `python docs/images/draw_pipeline.py`."""

from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

STEPS = [
    ("dataset", "fetch, extract, check", "report.json\nindex.json"),
    ("train", "P x K, BNNeck, resume", "checkpoints\nmetrics.csv"),
    ("select", "best, latest, epoch", "model_selected.pth"),
    ("evaluate", "one Ranking: figures\nand pictures", "metrics.json\nreport.html"),
    ("inference", "every image", "embeddings.parquet\ninference.json"),
    ("export", "ONNX, checked", "model.onnx\nmodel_card.md"),
    ("register", "challenger", "models:/reid"),
]
DRIVERS = [("command line", "reid <step> -e spec.yaml"), ("DVC", "dvc repro"), ("Prefect", "flow, deployments, pages")]
BLUE, GREEN, GREY, INK = "#0072B2", "#009E73", "#6B6B6B", "#222222"


def main() -> None:
    """Writes the picture beside this file."""
    figure = Figure(figsize=(13, 4.3), dpi=110, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, 13)
    axes.set_ylim(0, 4.3)
    axes.axis("off")
    for i, (name, command) in enumerate(DRIVERS):
        _box(axes, 2.1 + i * 3.1, 3.45, 2.7, 0.62, GREY)
        axes.text(3.45 + i * 3.1, 3.88, name, ha="center", va="center", fontsize=11, color=INK, weight="bold")
        axes.text(3.45 + i * 3.1, 3.63, command, ha="center", va="center", fontsize=9, color=GREY, family="monospace")
    axes.text(6.5, 3.22, "the same functions", ha="center", va="center", fontsize=9, color=GREY, style="italic")
    for i, (name, what, files) in enumerate(STEPS):
        x = 0.25 + i * 1.82
        _box(axes, x, 1.85, 1.55, 1.15, BLUE)
        axes.text(x + 0.775, 2.72, name, ha="center", va="center", fontsize=11, color=BLUE, weight="bold")
        axes.text(x + 0.775, 2.25, what, ha="center", va="center", fontsize=8.5, color=INK)
        axes.text(x + 0.775, 1.5, files, ha="center", va="center", fontsize=8, color=INK, family="monospace")
        if i:
            axes.annotate("", (x - 0.01, 2.42), (x - 0.26, 2.42), arrowprops={"arrowstyle": "-|>", "color": BLUE})
    _box(axes, 0.25, 0.3, 12.47, 0.62, GREEN)
    axes.text(
        6.5, 0.61, "MLflow: a parent run, a run for each step; specs, parameters, metrics by epoch, pictures, models",
        ha="center", va="center", fontsize=10, color=INK,
    )  # fmt: skip
    axes.annotate("", (6.5, 0.94), (6.5, 1.22), arrowprops={"arrowstyle": "-|>", "color": GREEN})
    FigureCanvasAgg(figure).print_png(Path(__file__).with_name("pipeline.png"))


def _box(axes, x: float, y: float, width: float, height: float, colour: str) -> None:  # matplotlib Axes
    axes.add_patch(
        FancyBboxPatch(
            (x, y), width, height, boxstyle="round,pad=0.02,rounding_size=0.08", linewidth=1.4, edgecolor=colour,
            facecolor="none",
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()
