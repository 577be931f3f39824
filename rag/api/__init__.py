"""HTTP and MCP: the OpenAI-compatible routes, page images, what the command line asks of a server."""
