"""LitServe: an API of our own around onnxruntime."""
