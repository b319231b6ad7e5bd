"""Features: what was known of an entity, when it could be seen, and the join that gives each label just that."""
