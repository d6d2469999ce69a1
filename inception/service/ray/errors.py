"""What can go wrong with replicas, in a sentence."""

from __future__ import annotations

from ...errors import UserError


class ServingError(UserError):
    """Replicas that cannot be had or do not answer."""
