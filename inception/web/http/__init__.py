"""HTTP server parts: request guard, rate limits, body limits, log filter, upload clean-up, draining on shutdown.

`guard` is the outermost middleware of the page; `shutdown.serve` starts the server and puts `DrainMiddleware` and
`protocol.BoundedProtocol` around it.
"""
