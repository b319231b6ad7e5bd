"""Evidently, the drift of columns in memory."""
