"""What is known of the running program: figures, a log line a request, traces; never what was asked or answered."""
