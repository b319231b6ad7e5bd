"""Dagster: a job executed in process, with a durable instance."""
