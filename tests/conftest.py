"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

# Examples are the same in each run, and none is judged by how long it took: these machines are shared.
settings.register_profile("suite", derandomize=True, deadline=None, max_examples=40)
settings.load_profile("suite")
