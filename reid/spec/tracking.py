"""The `mlflow` block, and TAO's `wandb` block, which is accepted so that its specs load."""

from __future__ import annotations

from reid.spec.base import Section, key

_MLFLOW = "runs are tracked with MLflow; see mlflow.enable"


class MlflowSpec(Section):
    """Tracking of runs and the model registry."""

    enable: bool = key(False, "Record runs, metrics and files in MLflow.", ours=True)
    tracking_uri: str = key(
        "",
        "MLflow server or store; empty: MLFLOW_TRACKING_URI of the environment, else sqlite:///mlflow.db in the "
        "working directory.",
        ours=True,
    )
    experiment: str = key("reid", "MLflow experiment that runs are listed under.", ours=True)
    model_name: str = key("reid", "Name in the model registry.", ours=True)
    parent_run: str = key("", "Run id that this action's run is nested under.", ours=True)
    pipeline: str = key(
        "",
        "Name that collects the runs of separate processes with the same resolved spec under one parent run.",
        ours=True,
    )


class WandbSpec(Section):
    """Weights & Biases, as TAO has it."""

    enable: bool = key(True, "Send the training to Weights & Biases.", no_effect=_MLFLOW)
    project: str = key("TAO Toolkit", "Project of the run.", no_effect=_MLFLOW)
    entity: str = key("", "Team or user of the run.", no_effect=_MLFLOW)
    group: str = key("", "Group of the run.", no_effect=_MLFLOW)
    name: str = key("TAO Toolkit Training", "Name of the run.", no_effect=_MLFLOW)
    run_id: str = key("", "Run to go on with.", no_effect=_MLFLOW)
    tags: tuple[str, ...] = key(("tao-toolkit",), "Labels of the run.", automl=False, no_effect=_MLFLOW)
    reinit: bool = key(False, "Allow several runs in one process.", no_effect=_MLFLOW)
    save_code: bool = key(False, "Upload the source code.", no_effect=_MLFLOW)
    sync_tensorboard: bool = key(False, "Copy TensorBoard's values.", no_effect=_MLFLOW)
