"""Endpoints: a live model behind HTTP, rolled out in steps, with every answer on record."""
