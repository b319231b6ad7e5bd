"""Serving: one model behind several servers, one worker process each, and the same load on all of them."""
