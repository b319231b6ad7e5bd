"""Feast, with its online store on SQLite."""
