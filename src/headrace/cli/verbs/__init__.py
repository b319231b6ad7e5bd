"""The verbs, grouped by what they are for. Each function is one verb; its docstring is the help text."""
