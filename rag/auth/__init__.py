"""Who asks, and what they may: principals, users, keys, passwords, limits."""
