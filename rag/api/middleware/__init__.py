"""What every request passes: who asks, from where, how many at once, what went wrong."""

__all__ = ["authentication", "concurrency", "errors", "metrics", "origin", "proxies"]
