"""`summary`: every layer of a network with its output shape and parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from ..errors import UserError
from ..runtime.terminal import json_line, out
from ..runtime.wording import counted
from .device import load_pretrained, with_cpu_fallback
from .numbers import MAX_CLASSES, MAX_SIDE, MIN_SIDE, whole_option
from .options import MODELS, VARIANTS, Json, OneDevice, listed, text_option
from .tables import in_terminal, show, table, text

# torch is imported inside the functions: `--help` must not import it.
if TYPE_CHECKING:
    from ..network.anatomy import LayerTable
    from ..network.inception_v1 import InceptionV1

VARIANT, CLASSES, SIZE = "batchnorm", 1000, 224  # of the network that is built where none is named


def summary(
    model: Annotated[
        str | None,
        text_option(
            "--model",
            "Use these weights, instead of a network built from the options below.",
            values=MODELS,
            metavar="MODEL",
        ),
    ] = None,
    device: OneDevice = "auto",
    variant: Annotated[
        str, text_option("--variant", f"{listed(VARIANTS)}.", values=VARIANTS, metavar="VARIANT")
    ] = VARIANT,
    classes: Annotated[int, whole_option("--classes", 1, MAX_CLASSES, "How many classes")] = CLASSES,
    size: Annotated[
        int, whole_option("--size", MIN_SIDE, MAX_SIDE, "Side of the photo in pixels", metavar="PX")
    ] = SIZE,
    json: Json = False,
) -> int:
    """Print every layer of a network with its output shape and parameters."""
    return with_cpu_fallback(device, lambda device: _summary(model, device, variant, classes, size, json))


def _summary(model: str | None, device: str, variant: str, classes: int, size: int, json: bool) -> int:
    from ..network.anatomy import layer_table
    from ..runtime.device import choose_device

    choose_device(device)
    if model and (variant, classes, size) != (VARIANT, CLASSES, SIZE):
        raise UserError(
            "summary", "--variant, --classes and --size describe a new network; leave them out, or leave out --model."
        )
    try:
        network = load_pretrained(model, device).model if model else _weightless_network(variant, classes, size)
    except ValueError as error:
        raise UserError("summary", "{why}", why=str(error)) from error
    layers = layer_table(network)
    if json:
        _print_json(layers)
    elif in_terminal():
        _show(layers)
    else:
        out(f"{'':>4} {'layer':16} {'output':>14} {'parameters':>12}")
        for row in layers.rows:
            out(f"{row.index:>4} {row.kind:16} {_shape(row.output_shape):>14} {row.parameters:>12,}")
        out("", *_totals(layers))
    return 0


def _weightless_network(variant: str, classes: int, size: int) -> InceptionV1:
    """Return a network with shapes and no numbers, which takes no memory."""
    from torch import device

    from ..network.inception_v1 import InceptionV1

    with device("meta"):
        return InceptionV1(variant=variant, classes=classes, input_shape=(3, size, size))


def _print_json(layers: LayerTable) -> None:
    for row in layers.rows:
        shape = row.output_shape
        out(json_line({"index": row.index, "layer": row.kind, "output_shape": shape, "parameters": row.parameters}))
    totals = {"layers": len(layers.rows), "parameters": layers.parameters}
    out(json_line({**totals, **{f"{name}_mb": size for name, size in _megabytes(layers).items()}}))


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _megabytes(layers: LayerTable) -> dict[str, float]:
    return {
        "input": layers.input_mb,
        "forward_backward": layers.forward_backward_mb,
        "parameters": layers.parameters_mb,
        "total": layers.total_mb,
    }


def _totals(layers: LayerTable) -> list[str]:
    names = ("input", "forward/backward", "parameters", "together")
    sizes = zip(names, _megabytes(layers).values(), strict=True)
    return [
        f"{counted(len(layers.rows), 'layer')}, {layers.parameters:,} parameters",
        *(f"{name:17} {megabytes:8.2f} MB" for name, megabytes in sizes),
    ]


def _show(layers: LayerTable) -> None:
    shown = table("", "layer", "output", "parameters", right=("", "output", "parameters"))
    for row in layers.rows:
        shown.add_row(*map(text, (row.index, row.kind, _shape(row.output_shape), f"{row.parameters:,}")))
    show(shown, *map(text, _totals(layers)))
