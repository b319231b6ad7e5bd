"""One file per outside system, each behind a port. Only the composition root imports them, lazily."""
