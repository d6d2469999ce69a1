"""The data of the lesson's steps, from the service."""

from __future__ import annotations

from dataclasses import replace

from PIL import Image

from ...explain.shapley import BranchVotes, branch_votes, subset_logits
from ...service.query import Query
from ...service.service import InferenceService
from .steps import Material


def material_of(service: InferenceService, query: Query | None, model: str) -> Material:
    """Of a photo, or of the network called `model` alone where there is none yet.

    Raises:
        WeightsError, ChoiceError: as `InferenceService.pretrained`.
    """
    pretrained, facts = service.pretrained(model), service.facts(model)
    if query is None:
        return Material(pretrained, facts)

    def voted(block: str) -> BranchVotes:
        logits = service.explained(query, subset_logits, block, "zero")
        return branch_votes(pretrained, service.prediction(query.exact), block, logits=logits)

    return Material(
        pretrained,
        facts,
        service.prediction(query.exact),
        voted,
        lambda: service.prediction(upside_down(query.exact)),
    )


def upside_down(query: Query) -> Query:
    """What the network would see of the same photo, turned upside down."""
    return replace(query, image=query.image.transpose(Image.Transpose.ROTATE_180), digest=f"{query.digest} upside down")
