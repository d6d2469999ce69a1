"""Errors of replicas."""

from __future__ import annotations

from ...errors import UserError


class ServingError(UserError):
    """Replicas that cannot start or do not answer."""
