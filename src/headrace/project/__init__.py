"""The composition root: it reads `headrace.toml`, imports the user's pipeline, and joins ports to adapters."""
