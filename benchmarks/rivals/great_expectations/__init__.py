"""Great Expectations: rules over a frame."""
