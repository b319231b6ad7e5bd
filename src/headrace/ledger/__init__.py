"""The durable record: an append-only chain of entries, and the tables that follow from it, in any SQL database."""
