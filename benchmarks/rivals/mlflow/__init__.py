"""MLflow's scoring server, with its scikit-learn flavour."""
