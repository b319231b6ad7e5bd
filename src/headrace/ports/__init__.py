"""Records and protocols that every layer shares. No layer below; no effects; no outside library."""
