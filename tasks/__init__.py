"""Prefect tasks: one for each step; policy in the decorator, work in `reid.actions`."""
