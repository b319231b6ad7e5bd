"""The planner: what would change, why, and what it would cost. Pure; it reads and writes nothing."""
