"""What the benchmarks share: figures, children that end, environments of rivals."""
