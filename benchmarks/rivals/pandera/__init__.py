"""pandera: rules over a frame."""
