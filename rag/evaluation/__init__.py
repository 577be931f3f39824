"""Golden questions become figures and a report."""
