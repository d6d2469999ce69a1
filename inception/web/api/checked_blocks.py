"""`gr.Blocks` with checked payloads, and one sentence for each error of events, endpoints and MCP tools.

Gradio answers a payload that a component cannot take with {"error": null} and a traceback in the log. Here payloads
are checked first, and sentences come in the caller's language.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Sequence
from typing import Any

import gradio as gr
from starlette.datastructures import Headers
from starlette.types import Scope

from ...errors import UserError, WeightsError
from ...service.ray.errors import ServingError
from ..http.event_queue import EventQueue
from ..http.statuses import mark_caller_error
from ..words import LANGUAGES, language_of, say, say_error
from .arguments import checked, may_be_null

log = logging.getLogger(__name__)


class CheckedBlocks(gr.Blocks):  # type: ignore[misc]
    """Checks every payload (`arguments.checked`), and turns every exception into a `gr.Error` with a sentence."""

    def queue(self, *arguments: Any, **options: Any) -> CheckedBlocks:
        """Queue events as `gr.Blocks` does, in an `EventQueue`."""
        super().queue(*arguments, **options)
        self._queue.__class__ = EventQueue  # `gr.Blocks` names the class of its queue
        return self

    async def process_api(
        self,
        block_fn: Any,
        inputs: list[Any],
        state: Any = None,
        request: Any = None,
        event_data: gr.EventData | None = None,
        **options: Any,
    ) -> Any:
        """Process an event as `gr.Blocks` does, but raise only `gr.Error`."""
        fn = self.fns[block_fn] if isinstance(block_fn, int) else block_fn
        scope = _scope_of(request)
        language = _language(fn, inputs, scope)
        try:
            return await super().process_api(fn, inputs, state, request, event_data=event_data, **options)
        except UserError as error:
            sentence = say_error(language, error)
            # Without weights or replicas the server cannot answer, whatever the caller sends.
            if not isinstance(error, WeightsError | ServingError):
                mark_caller_error(scope)
        except gr.Error as error:
            sentence = error.message
            mark_caller_error(scope)
        except Exception:
            log.exception("unforeseen error in %s", fn.name)
            sentence = say(language, "fault")
        # Raised outside the handler, so that it carries no traceback.
        raise gr.Error(sentence, print_exception=False)

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], state: Any, explicit_call: bool = False
    ) -> list[Any]:
        """Preprocess inputs as `gr.Blocks` does, after checking each of them.

        Raises:
            UserError: if there are too few or too many of them, or one is not allowed.
        """
        names = names_of(block_fn)
        if len(inputs) != len(names):
            raise UserError(
                "argument_count",
                "{name} takes {wanted} arguments ({names}), and {sent} were sent; please send each of them once.",
                name=block_fn.name,
                wanted=len(names),
                names=", ".join(names) or "–",
                sent=len(inputs),
            )
        sent = [
            checked(block, name, value, may_be_null=may_be_null(block))
            for block, name, value in zip(block_fn.inputs, names, inputs, strict=True)
        ]
        return list(await super().preprocess_data(block_fn, sent, state, explicit_call))


def names_of(block_fn: Any) -> Sequence[str]:
    """Return the names of an event's inputs: the parameters of an endpoint, the labels of a stage event."""
    if block_fn.api_visibility == "public":
        return list(inspect.signature(block_fn.fn).parameters)
    return [block.label for block in block_fn.inputs]


def _language(fn: Any, inputs: Sequence[Any], scope: Scope) -> str:
    """Return the value of the endpoint's language argument, or else the language that the browser prefers."""
    for block, value in zip(fn.inputs, inputs, strict=False):
        is_language = isinstance(block, gr.Radio) and tuple(code for _, code in block.choices) == LANGUAGES
        if is_language and isinstance(value, str) and value in LANGUAGES:
            return value
    headers = Headers(scope=scope) if "headers" in scope else Headers()
    return language_of(headers.get("accept-language", ""))


def _scope_of(request: Any) -> Scope:
    """The ASGI scope of Gradio's request (or the first of several), or of Starlette's; empty where there is none."""
    one = request[0] if isinstance(request, list) else request
    return getattr(getattr(one, "request", None) or one, "scope", None) or {}
