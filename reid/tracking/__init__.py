"""MLflow: runs, parameters, metrics, artifacts and the model registry; all of it a no-op when off.

The only room that imports mlflow, and only inside functions: `import reid.tracking` costs nothing.
"""

from reid.tracking.folders import results_folder_of
from reid.tracking.promotion import Promotion, promote_challenger
from reid.tracking.recorder import Run
from reid.tracking.registration import Registration, ServedModel, register_model
from reid.tracking.runs import pipeline_run, start_run
from reid.tracking.settings import Tracking

__all__ = [
    "Promotion",
    "Registration",
    "Run",
    "ServedModel",
    "Tracking",
    "pipeline_run",
    "promote_challenger",
    "register_model",
    "results_folder_of",
    "start_run",
]
