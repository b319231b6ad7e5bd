"""Airflow: scheduler, DAG processor and API server, LocalExecutor, PostgreSQL."""
