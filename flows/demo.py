"""`make demo`: the embedded sample through the whole chain, then what there is to look at.

Run from the root of a checkout: `python -m flows.demo`. It is the same flow that a deployment runs, on params.yaml.
"""

import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parents[1]
SPEC = "params.yaml"
SAMPLE = Path("data/sample")
ENVIRONMENT = {
    "PREFECT_HOME": str(HERE / ".prefect"),
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "reid",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
}
"""The demo keeps its state in the checkout, and nothing phones home."""


def main() -> None:
    """Draws the sample when it is not there, runs the flow, and prints the metrics with the commands to go on."""
    os.chdir(HERE)
    began = time.monotonic()
    stand_alone()
    _draw_sample()
    from flows.pipeline import pipeline  # after the environment is set: importing Prefect reads it

    summary = pipeline(SPEC)
    logging.getLogger("prefect").setLevel(logging.WARNING)  # its server stops at exit, and says so below our tables
    _show(summary, time.monotonic() - began)


def stand_alone() -> None:
    """Forgets the user's servers and settings of Prefect and MLflow: a demo leaves no traces in either."""
    for name in [name for name in os.environ if name.startswith(("PREFECT_", "MLFLOW_"))]:
        del os.environ[name]
    os.environ.update(ENVIRONMENT)


def _draw_sample() -> None:
    wanted = [
        Path(place)
        for key, place in yaml.safe_load(Path(SPEC).read_text(encoding="utf-8"))["dataset"].items()
        if key.endswith("_dataset_dir")
    ]
    if all(path.is_file() for path in wanted):
        return
    if any(SAMPLE not in path.parents for path in wanted):
        sys.exit(f"{SPEC} names archives that are not there: {', '.join(str(p) for p in wanted if not p.is_file())}")
    from reid.actions.sample import sample

    Console().print(f"drawing the sample into {SAMPLE}/ ...")
    sample(SAMPLE)


def _show(summary: dict[str, Any], seconds: float) -> None:
    figures = Table(title="on unseen people", title_justify="left")
    figures.add_column("figure")
    figures.add_column("value", justify="right")
    for name, value in summary["metrics"].items():
        figures.add_row(name, f"{100 * value:.1f} %")
    files = summary["files"]
    look = Table(title="to look further", title_justify="left", show_header=False)
    look.add_column(overflow="fold")
    look.add_column(overflow="fold")
    for what, how in {
        "sampled matches": files["evaluate/sampled_matches"],
        "CMC curve": files["evaluate/cmc_curve"],
        "course of the training": files["train/training"],
        "ONNX file": files["export/onnx"],
        "embeddings": files["inference/embeddings"],
        "MLflow and Prefect pages": "make ui",
        "the commands on your path": ". .venv/bin/activate",
        "make the model the champion": "reid promote -e params.yaml",
        "another setting": "dvc exp run -S train.num_epochs=30",
        "your own people": "docs/quickstart.md",
    }.items():
        look.add_row(what, _short(how))
    console = Console()
    console.print(f"\nThe whole chain took {seconds:.0f} s.\n", highlight=False)
    console.print(figures)
    console.print(look)


def _short(path: str) -> str:
    return str(Path(path).relative_to(HERE)) if path.startswith(str(HERE)) else path


if __name__ == "__main__":
    main()
