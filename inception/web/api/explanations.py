"""Endpoints of the declared explanations: each takes a photo and a network besides its own arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter, Signature
from typing import Any, TypeVar

from gradio.components import Component

from ...explain.registry import Explanation
from ...prediction import Prediction
from ...pretrained.pretrained import PretrainedModel
from ...service.query import Query
from ...service.service import InferenceService
from .endpoint import Endpoint
from .inputs import PHOTO, classifying_model, query_of

Value = TypeVar("Value")


@dataclass(frozen=True)
class ServedSubject:
    """A photo to explain (`explain.registry.Subject`), computed and cached by a service."""

    service: InferenceService
    query: Query

    @property
    def pretrained(self) -> PretrainedModel:
        return self.service.pretrained(self.query.model)

    @property
    def prediction(self) -> Prediction:
        return self.service.prediction(self.query.exact)

    def compute(self, function: Callable[..., Value], *arguments: Any) -> Value:
        return self.service.explained_uncached(self.query, function, *arguments)

    def cached(self, function: Callable[..., Value], *arguments: Any) -> Value:
        return self.service.explained(self.query, function, *arguments)


def explanation_endpoint(explanation: Explanation, service: InferenceService, data: Component) -> Endpoint:
    """The endpoint of an explanation: its JSON is the result's `to_dict`, with the network's name."""
    names = ["photo", "model", *(argument.name for argument in explanation.arguments)]
    signature = Signature([Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in names])

    def endpoint(*values: Any, **named: Any) -> dict[str, Any]:
        arguments = signature.bind(*values, **named).arguments
        photo, model = arguments.pop("photo"), arguments.pop("model")
        subject = ServedSubject(service, query_of(service, photo, model))
        return {"model": model, **explanation(subject, **arguments).to_dict()}

    endpoint.__name__ = explanation.name
    endpoint.__doc__ = explanation.function.__doc__
    endpoint.__signature__ = signature  # type: ignore[attr-defined]
    return Endpoint(
        endpoint, [PHOTO, classifying_model(service), *explanation.arguments], [data], is_tool=explanation.is_tool
    )
