"""Exports and backups: written whole, checked whole, read back."""
