"""The MCP server: the only room, with the demo's client, that knows the protocol."""
