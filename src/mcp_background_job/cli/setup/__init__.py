"""This server in the configuration of MCP clients: shown, written, and tried."""
