"""Who asks, and what they may: principals, users, keys, passwords, limits."""

__all__ = ["access", "api_keys", "authenticator", "principals", "sessions", "users", "weak_secrets"]
