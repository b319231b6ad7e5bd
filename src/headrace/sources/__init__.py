"""Where rows come from. Each source has a cursor: it knows which batches it has landed, by their content."""
