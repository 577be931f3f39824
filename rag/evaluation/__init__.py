"""Golden questions become figures and a report."""

__all__ = ["baseline", "draft", "metrics", "questions", "report", "report_html", "run", "sweep"]
