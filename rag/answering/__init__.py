"""Hits become an answer that is cited and checked."""
