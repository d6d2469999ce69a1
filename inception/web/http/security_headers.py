"""Security headers of every response but that to a CORS preflight, which Gradio's middleware answers first."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.types import Message

GRADIO_CDN = "https://gradio.s3-us-west-2.amazonaws.com"  # serves the page's own style when Gradio shares it by tunnel
# Code injected through a bug of ours could send data elsewhere. There is no `frame-ancestors`: a Space is shown in a
# frame of its host.
OWN_POLICY = {
    "connect-src": "'self' data: blob:",
    "img-src": "'self' data: blob:",
    "media-src": "'self' data: blob:",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
}
# Of the stage, which is ours: scripts, too, come from this server only; none is in its HTML, and none is evaluated
# from text.
STAGE_POLICY = {
    "default-src": "'self'",
    "script-src": "'self'",
    "style-src": "'self' 'unsafe-inline'",
    **OWN_POLICY,
}
# On a Space, Gradio's page would load information from Hugging Face and fonts from Google. There is no `script-src`:
# Gradio's scripts need more than a useful one grants.
GRADIO_POLICY = {
    "style-src": f"'self' 'unsafe-inline' {GRADIO_CDN}",
    "font-src": f"'self' data: {GRADIO_CDN}",
    **OWN_POLICY,
}


def _header(policy: Mapping[str, str]) -> str:
    return "; ".join(f"{directive} {sources}" for directive, sources in policy.items())


CONTENT_SECURITY = "Content-Security-Policy"
STAGE_HEADERS = {CONTENT_SECURITY: _header(STAGE_POLICY)}
HEADERS = {
    CONTENT_SECURITY: _header(GRADIO_POLICY),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # the address says which photo, network and block a visitor looks at
}


def add_security_headers(start: Message) -> None:
    """Add `HEADERS` to an `http.response.start` message, except those that it already has."""
    headers = MutableHeaders(scope=start)
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
