"""The declared graph: nodes, keys, fingerprints, conditions. Pure data; the only reading is of the user's own code."""
