"""BentoML: a service of our own around onnxruntime."""
