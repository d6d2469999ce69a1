"""Security headers of every response but that to a CORS preflight, which Gradio's middleware answers first."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import Message

GRADIO_CDN = "https://gradio.s3-us-west-2.amazonaws.com"  # serves the page's own style when Gradio shares it by tunnel
# On a Space, Gradio's page would load information from Hugging Face and fonts from Google; and code injected through a
# bug of ours could send data elsewhere. There is no `script-src`: Gradio's scripts need more than a useful one grants.
# There is no `frame-ancestors`: a Space is shown in a frame of its host.
POLICY = {
    "connect-src": "'self' data: blob:",
    "img-src": "'self' data: blob:",
    "media-src": "'self' data: blob:",
    "style-src": f"'self' 'unsafe-inline' {GRADIO_CDN}",
    "font-src": f"'self' data: {GRADIO_CDN}",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
}
HEADERS = {
    "Content-Security-Policy": "; ".join(f"{directive} {sources}" for directive, sources in POLICY.items()),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # the address says which photo, network and block a visitor looks at
}


def add_security_headers(start: Message) -> None:
    """Add `HEADERS` to an `http.response.start` message, except those that it already has."""
    headers = MutableHeaders(scope=start)
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
