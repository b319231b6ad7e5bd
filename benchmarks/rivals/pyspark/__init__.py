"""PySpark on one machine."""
