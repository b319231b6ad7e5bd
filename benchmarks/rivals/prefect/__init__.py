"""Prefect: a local server on SQLite, a flow in a process of its own."""
