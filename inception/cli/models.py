"""`models`: the known networks, or one of them in detail."""

from __future__ import annotations

from typing import Annotated

from ..runtime.terminal import json_line, out
from .device import load_pretrained, with_cpu_fallback
from .options import MODELS, Json, OneDevice, text_option
from .tables import in_terminal, show, table, text


def models(
    model: Annotated[
        str | None,
        text_option(
            "--model",
            "Describe this one in detail; it is loaded, and downloaded if need be.",
            values=MODELS,
            metavar="MODEL",
        ),
    ] = None,
    device: OneDevice = "auto",
    json: Json = False,
) -> int:
    """List the networks, or describe one of them."""
    if model:
        return with_cpu_fallback(device, lambda device: _describe(model, device, json))
    from ..pretrained.zoo import MODEL_NAMES, describe

    rows = [(describe(name), name) for name in MODEL_NAMES]
    if json:
        out(*(json_line(row) for row, _ in rows))
    elif in_terminal():
        shown = table("network", "weights", "source")
        for row, name in rows:
            here = row["at_hand"]
            shown.add_row(text(name, "bold"), text(_state(here), "green" if here else ""), text(row["source"]))
        show(shown)
    else:
        out(*(f"{name:14} {_state(row['at_hand']):21} {row['source']}" for row, name in rows))
    return 0


def _state(at_hand: object) -> str:
    return "on this machine" if at_hand else "fetched at first use"


def _describe(model: str, device: str, json: bool) -> int:
    from ..network.anatomy import parameter_count

    pretrained = load_pretrained(model, device)
    facts = {
        "model": pretrained.name,
        "variant": pretrained.model.variant.name,
        "classes": len(pretrained.labels),
        "parameters": parameter_count(pretrained.model),
        "input_size": pretrained.input_size,
        "temperature": pretrained.temperature,
        **vars(pretrained.provenance),
    }
    if json:
        out(json_line(facts))
    elif in_terminal():
        shown = table("", "")
        shown.show_header = False
        for name, value in facts.items():
            shown.add_row(text(name, "bold"), text(value))
        show(shown)
    else:
        out(*(f"{name:14} {value}" for name, value in facts.items()))
    return 0
