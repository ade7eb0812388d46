"""What holds for every test."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# Examples are the same in each run, and none is judged by how long it took: these machines are shared.
settings.register_profile("suite", derandomize=True, deadline=None, max_examples=40)
settings.load_profile("suite")


# Importing a flow sends the log of `reid` to Prefect's API, for which a test outside any flow has no run.
os.environ.setdefault("PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW", "ignore")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first, so that several workers end together; the order within a file stays."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
