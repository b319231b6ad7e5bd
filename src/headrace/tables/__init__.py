"""Tables: what a clean row looks like, what becomes of the others, and how a table grows."""
