"""Middleware and server: request guard, rate limit, size bounds, logs, uploads, draining on shutdown."""
