"""Benchmarks: ratios against a floor and against rivals, on the same work in the same run."""
