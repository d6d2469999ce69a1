"""The Gradio application: page, HTTP layer, API and MCP server over one `InferenceService`."""
