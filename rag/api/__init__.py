"""HTTP and MCP: the OpenAI-compatible routes, page images, what the command line asks of a server."""

__all__ = ["app", "connections", "dependencies", "docs", "errors", "json_body", "mcp", "route_policy"]
