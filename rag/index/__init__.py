"""Vectors, words and catalog as one transactional thing."""
