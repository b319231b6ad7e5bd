"""Models: training sets, time splits, evaluation by the platform, gates, and artefacts that are safe to load."""
