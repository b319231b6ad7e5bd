"""pointblank: rules over a frame."""
