"""HTTP server parts: request guard, limits, log filter, upload clean-up, draining on shutdown.

`guard` stands before all of Gradio's routes; only compression, and Gradio's middleware for CORS, come before it.
`shutdown.serve` starts the server, with `DrainMiddleware` before the guard and `protocol.BoundedProtocol` around all.
"""
