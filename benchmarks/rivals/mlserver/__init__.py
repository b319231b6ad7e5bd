"""MLServer, with its scikit-learn runtime."""
