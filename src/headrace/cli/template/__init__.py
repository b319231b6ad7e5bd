"""The project that `headrace init` lays out."""
