"""Model Context Protocol: the tools that assistants call, on the official package."""
