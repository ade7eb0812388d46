"""Prefect flows: the chain, and one flow for each action."""
