"""What is watched of endpoints, and what is done about it."""
