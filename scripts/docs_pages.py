"""Sphinx extension for docs/conf.py that computes parts of the site from the code.

In a page of docs/, `<!-- computed: network -->` to `<!-- end -->` is replaced by the result of the function `network`
of this file. Between them is what readers of the Markdown see instead.
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
    """Register the extension; called by Sphinx."""
    app.connect("source-read", _insert_parts)
    return {"parallel_read_safe": True}


def _insert_parts(_app: Sphinx, _page: str, source: list[str]) -> None:
    source[0] = re.sub(r"(?s)<!-- computed: ([\w-]+) -->.*?<!-- end -->", lambda match: PARTS[match[1]](), source[0])


def command_line() -> str:
    """Return the `--help` output of each command."""
    overview = _help("-m", "inception")
    parts = ["## `python app.py`", _block(_help("app.py")), "## `python -m inception`", _block(overview)]
    for command in COMMANDS:
        parts += [f"### `{command}`", _block(_help("-m", "inception", command))]
    return "\n\n".join(parts)


def _help(*arguments: str) -> str:
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "NO_COLOR": "1"}
    command = [sys.executable, *arguments, "--help"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout


def _block(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```"


def endpoints() -> str:
    """Return the reference of the API's endpoints, from the server's description of them."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    from inception.pretrained.zoo import MODEL_NAMES
    from inception.runtime.device import choose_device
    from inception.service.service import InferenceService
    from inception.web.blocks import build

    api = build(InferenceService(MODEL_NAMES, choose_device("cpu"))).get_api_info()
    parts: list[str] = []
    for name, endpoint in api["named_endpoints"].items():
        rows = [
            (
                f"`{argument['parameter_name']}`",
                f"`{argument['python_type']['type']}`",
                f"`{argument['parameter_default']!r}`" if argument["parameter_has_default"] else "required",
                argument["type"]["description"],
            )
            for argument in endpoint["parameters"]
        ]
        returns = [
            f"`{result['label']}` (a picture)" if result["component"] == "Image" else "JSON"
            for result in endpoint["returns"]
        ]
        parts += [f"## `{name}`", endpoint.get("description") or ""]
        if rows:
            parts.append(_table(("argument", "type", "default", "description"), rows))
        parts.append(f"Returns {', '.join(returns)}.")
    return "\n\n".join(parts)


def network() -> str:
    """Return tables of the nine blocks and of the network, computed from the variant of 2014."""
    from inception.network.anatomy import network_facts
    from inception.network.blocks import BRANCHES
    from inception.network.cost import module_costs, published_network

    model = published_network()
    widths, fields = [], []
    for block, facts in network_facts(model).items():
        channels = [f"{fact.channels}{f' (through {fact.reduced_to})' if fact.reduced_to else ''}" for fact in facts]
        total = str(sum(fact.channels for fact in facts))
        widths.append((block, f"{facts[0].height}×{facts[0].width}", *channels, total))
        sizes = [f"{fact.receptive_field.size}{' (all)' if fact.wider_than_photo else ''}" for fact in facts]
        fields.append((block, *sizes, str(facts[0].receptive_field.stride)))
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
    """Return a table of block 3a without and with reductions."""
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
    """Return a table that compares GoogLeNet with VGG-16."""
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
    """Return the titles of the lesson's steps in their order, in English and Chinese."""
    script = (STAGE / "js" / "lesson" / "steps.js").read_text(encoding="utf-8")
    steps = re.search(r"const STEPS = \[(.*?)\]", script, re.S)
    assert steps is not None
    words = [json.loads((STAGE / "words" / f"{code}.json").read_text(encoding="utf-8")) for code in ("en", "zh")]
    rows = [
        (str(number), *(catalogue[f"lesson.{step}.title"] for catalogue in words))
        for number, step in enumerate(re.findall(r"\w+", steps[1]), 1)
    ]
    return _table(("step", "English", "中文"), rows)


def accuracy() -> str:
    """Return the accuracy that is stored with the embedded weights."""
    return f"It has {load('tiny-imagenet').provenance.accuracy}."


def rejection() -> str:
    """Return the error rates of the embedded network's rejection rule."""
    rule = load("tiny-imagenet").rejection
    assert rule is not None
    return (
        f"It doubts {rule.caught:.0%} of {rule.outside:,} photos of other things, correctly, and {rule.doubted:.0%} of "
        f"{rule.inside:,} photos of its own classes, wrongly."
    )


def other_pages() -> str:
    """Return a hidden table of contents of the pages in docs/ that index.md does not name."""
    listed = (DOCS / "index.md").read_text(encoding="utf-8").splitlines()
    others = [page.stem for page in sorted(DOCS.glob("*.md")) if page.stem not in ("index", *listed)]
    return "\n".join(("```{toctree}", ":hidden:", "", *others, "```")) if others else ""


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Format a Markdown table; columns of numbers are right-aligned."""
    body = list(rows)
    alignments = ["---:" if all(cell[:1].isdigit() for cell in column) else "---" for column in zip(*body, strict=True)]
    lines = [header, alignments, *body]
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
