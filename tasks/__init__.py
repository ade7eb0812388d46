"""Prefect tasks: one file per step, with retries, time limits, tags and UI artifacts, and nothing else."""
