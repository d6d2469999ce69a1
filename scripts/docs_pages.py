"""Sphinx extension for docs/conf.py: parts of the site that are computed from the code.

`<!-- computed: network -->` in a page of docs/ is replaced by the result of the function `network` of this file.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from inception import load
from inception.cli.main import COMMANDS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
STAGE = ROOT / "inception" / "web" / "stage" / "static"

COLUMNS = 100


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("source-read", _write)
    return {"parallel_read_safe": True}


def _write(_app: Sphinx, _page: str, source: list[str]) -> None:
    source[0] = re.sub(r"<!-- computed: ([\w-]+) -->", lambda wish: PARTS[wish[1]](), source[0])


def command_line() -> str:
    """What each command prints when it is asked for `--help`."""
    overview = _help("-m", "inception")
    parts = ["## `python app.py`", _block(_help("app.py")), "## `python -m inception`", _block(overview)]
    for command in COMMANDS:
        parts += [f"### `{command}`", _block(_help("-m", "inception", command))]
    return "\n\n".join(parts)


def _help(*arguments: str) -> str:
    surroundings = {**os.environ, "COLUMNS": str(COLUMNS), "NO_COLOR": "1"}
    command = [sys.executable, *arguments, "--help"]
    return subprocess.run(command, cwd=ROOT, env=surroundings, capture_output=True, text=True, check=True).stdout


def _block(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```"


def endpoints() -> str:
    """The page's functions, as the server tells callers of them."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    from inception.pretrained.zoo import MODEL_NAMES
    from inception.runtime.device import choose_device
    from inception.service.service import InferenceService
    from inception.web.blocks import build

    told = build(InferenceService(MODEL_NAMES, choose_device("cpu"))).get_api_info()
    parts: list[str] = []
    for name, endpoint in told["named_endpoints"].items():
        rows = [
            (
                f"`{argument['parameter_name']}`",
                f"`{argument['python_type']['type']}`",
                f"`{argument['parameter_default']!r}`" if argument["parameter_has_default"] else "required",
                argument["type"]["description"],
            )
            for argument in endpoint["parameters"]
        ]
        returned = [
            f"`{result['label']}` (a picture)" if result["component"] == "Image" else "JSON"
            for result in endpoint["returns"]
        ]
        parts += [f"## `{name}`", endpoint.get("description") or ""]
        if rows:
            parts.append(_table(("argument", "type", "default", "description"), rows))
        parts.append(f"Returns {', '.join(returned)}.")
    return "\n\n".join(parts)


def network() -> str:
    """The nine blocks and the whole network, counted on the one of 2014."""
    from inception.network.anatomy import network_facts
    from inception.network.blocks import BRANCHES
    from inception.network.cost import module_costs, published_network

    model = published_network()
    widths, fields = [], []
    for block, facts in network_facts(model).items():
        channels = [f"{fact.channels}{f' (through {fact.reduced_to})' if fact.reduced_to else ''}" for fact in facts]
        together = str(sum(fact.channels for fact in facts))
        widths.append((block, f"{facts[0].height}×{facts[0].width}", *channels, together))
        seen = [f"{fact.receptive_field.size}{' (all)' if fact.wider_than_photo else ''}" for fact in facts]
        fields.append((block, *seen, str(facts[0].receptive_field.stride)))
    costs = [
        (
            cost.block,
            f"{cost.naive.weights:,}",
            f"{cost.reduced.weights:,}",
            f"{cost.saving:.1f}",
            _millions(cost.reduced.multiplications),
        )
        for cost in module_costs(model)
    ]
    return "\n\n".join(
        (
            "## Channels of the branches",
            "*Through 96*: a 1×1 convolution first reduces the block's input to 96 channels.",
            _table(("block", "cells", *BRANCHES, "total"), widths),
            "## What a cell sees",
            "The side in pixels of a cell's receptive field, and the distance in pixels between neighbouring cells. "
            "*(all)*: the receptive field is wider than the photo.",
            _table(("block", *BRANCHES, "distance between cells"), fields),
            "## What the 1×1 in front saves",
            "The weights of each block without reductions (the paper's *naive* module, on the same input) and with "
            "reductions, and the number of multiplications with reductions, in millions.",
            _table(("block", "naive", "with reductions", "times fewer", "million multiplications"), costs),
            "## The whole network",
            network_size(),
        )
    )


def first_block() -> str:
    """Block 3a naive and as it is."""
    from inception.network.cost import module_costs, published_network

    cost = module_costs(published_network())[0]
    return _table(
        (f"block {cost.block}", "naive", "with reductions"),
        (
            ("weights", f"{cost.naive.weights:,}", f"{cost.reduced.weights:,}"),
            (
                "million multiplications for one photo",
                _millions(cost.naive.multiplications),
                _millions(cost.reduced.multiplications),
            ),
            ("output channels", str(cost.naive_channels), str(cost.reduced_channels)),
        ),
    )


def network_size() -> str:
    """GoogLeNet beside VGG-16."""
    from inception.network.cost import published_size, vgg16_size

    size, vgg = published_size(), vgg16_size()
    return _table(
        ("", "GoogLeNet", "VGG-16"),
        (
            ("parameters", f"{size.parameters:,}", f"{vgg.parameters:,}"),
            ("of these in linear layers", f"{size.classifier_parameters:,}", f"{vgg.classifier_parameters:,}"),
            ("million multiplications for one photo", _millions(size.multiplications), _millions(vgg.multiplications)),
            ("layers with weights in sequence (depth)", str(size.depth), str(vgg.depth)),
            ("layers with weights in total", str(size.weighted_layers), str(vgg.weighted_layers)),
        ),
    )


def lesson_steps() -> str:
    """The titles of the lesson's steps in their order, in English and Chinese."""
    script = (STAGE / "js" / "lesson" / "steps.js").read_text(encoding="utf-8")
    listed = re.search(r"const STEPS = \[(.*?)\]", script, re.S)
    assert listed is not None
    words = [json.loads((STAGE / "words" / f"{code}.json").read_text(encoding="utf-8")) for code in ("en", "zh")]
    rows = [
        (str(number), *(catalogue[f"lesson.{step}.title"] for catalogue in words))
        for number, step in enumerate(re.findall(r"\w+", listed[1]), 1)
    ]
    return _table(("step", "English", "中文"), rows)


def accuracy() -> str:
    """What the embedded weights say of themselves."""
    return f"It has {load('tiny-imagenet').provenance.accuracy}."


def rejection() -> str:
    """How good the embedded network's rule is."""
    rule = load("tiny-imagenet").rejection
    assert rule is not None
    return (
        f"It doubts {rule.caught:.0%} of {rule.outside:,} photos of other things, correctly, and {rule.doubted:.0%} of "
        f"{rule.inside:,} photos of its own classes, wrongly."
    )


def other_pages() -> str:
    """A place in the navigation for whatever lies in docs/ and is not named on its first page."""
    named = (DOCS / "index.md").read_text(encoding="utf-8").splitlines()
    others = [page.stem for page in sorted(DOCS.glob("*.md")) if page.stem not in ("index", *named)]
    return "\n".join(("```{toctree}", ":hidden:", "", *others, "```")) if others else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns of numbers stand at the right."""
    body = list(rows)
    rules = ["---:" if all(cell[:1].isdigit() for cell in column) else "---" for column in zip(*body, strict=True)]
    lines = [head, rules, *body]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _millions(number: int) -> str:
    return f"{number / 1e6:,.0f}"


PARTS: dict[str, Callable[[], str]] = {
    "accuracy": accuracy,
    "command-line": command_line,
    "doubt": rejection,
    "endpoints": endpoints,
    "first-block": first_block,
    "lesson-steps": lesson_steps,
    "network": network,
    "network-size": network_size,
    "other-pages": other_pages,
}
