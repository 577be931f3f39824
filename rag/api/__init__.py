"""The HTTP edge: OpenAI-compatible routes, health, sources, and the routes that the command line uses."""
