"""What the lesson's steps may look at, from the studio."""

from __future__ import annotations

from dataclasses import replace

from PIL import Image

from ..explain.votes import Votes, subset_logits, votes
from .lesson import Material
from .runner import Look
from .studio import Studio


def material_of(studio: Studio, look: Look | None, model: str) -> Material:
    """Of a photo, or of the network called `model` alone where there is none yet.

    Raises:
        WeightsError, ChoiceError: as `Studio.pretrained`.
    """
    pretrained, facts = studio.pretrained(model), studio.facts(model)
    if look is None:
        return Material(pretrained, facts)

    def voted(block: str) -> Votes:
        logits = studio.explained(look, subset_logits, block, "zero")
        return votes(pretrained, studio.observation(look.exact), block, logits=logits)

    return Material(
        pretrained,
        facts,
        studio.observation(look.exact),
        voted,
        lambda: studio.observation(upside_down(look.exact)),
    )


def upside_down(look: Look) -> Look:
    """What the network would see of the same photo, turned upside down."""
    return replace(look, seen=look.seen.transpose(Image.Transpose.ROTATE_180), digest=f"{look.digest} upside down")
