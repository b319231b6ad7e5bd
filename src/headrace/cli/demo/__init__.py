"""`headrace demo`: a year of real flights, from raw files to a gated model, then a change that is tried and promoted."""
