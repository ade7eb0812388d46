"""What the tasks' decorators share: when a step is tried again, and the tag that counts GPUs."""

from __future__ import annotations

from typing import Any

from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task, exponential_backoff

from reid.data.sources import TransientError
from reid.errors import FetchError

GPU_TAG = "gpu"
"""`prefect concurrency-limit create gpu 1` lets one task with this tag run at a time, over all flow runs."""

HOUR_S = 3600


def lost_connection(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Whether a step failed because a source did not answer, which may be over in a minute.

    A wrong spec, bad data, a refused password or a missing object are the same at every attempt: False.
    """
    error = state.result(raise_on_failure=False)
    return isinstance(error, FetchError) and isinstance(error.__cause__, TransientError)


POLICY: dict[str, Any] = {
    "retries": 3,
    "retry_delay_seconds": exponential_backoff(backoff_factor=30),  # 30, 60, 120 s, after the transfer's own retries
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": lost_connection,
    "cache_policy": NO_CACHE,  # what is fresh is DVC's to know
}
"""Arguments of every task: only a lost connection is worth another attempt."""
