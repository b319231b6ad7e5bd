"""dataframely: rules over a frame."""
