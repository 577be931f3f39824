"""A question becomes ranked, explained hits."""
