"""What is measured and said of each request: spans, figures, traces, the log."""

__all__ = ["logging", "loop_watchdog", "metrics", "spans", "tracing"]
