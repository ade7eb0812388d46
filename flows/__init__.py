"""Prefect flows: `pipeline` is the whole chain, `actions` has one flow for each action."""
