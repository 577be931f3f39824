"""What is measured and said of each request: spans, figures, traces, the log."""

__all__ = ["logging", "metrics", "spans", "tracing"]
