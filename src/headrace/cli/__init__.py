"""The command line: verbs, and how plans, tables and errors look in a terminal."""
