"""The drawn network, from the photo to the answer: nine blocks that open into four branches each.

Widths of lines are those of the branches, in channels; every number comes from the model at hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from html import escape
from unicodedata import east_asian_width

import numpy as np

from ...network.anatomy import BranchFacts
from ...network.blocks import BLOCKS, BRANCHES
from ...prediction import Prediction
from ...render.maps import SMALL_TILE, sprite
from ..text import say
from .block import branch_name, data_url

# In the drawing's own units, which are pixels at its natural size.
MAP, ROW, TOP = 36, 45, 36
NODE, GAP, POOL_GAP, END = 112, 8, 40, 104
HEIGHT = TOP + 4 * ROW + 26
BRANCH_NAMES = tuple(BRANCHES)
WIDEST_LINE, WIDEST_NAME = 13, 11  # in units of the drawing, in Latin letters

# A choice is seen at once; the panels follow when the server has drawn them.
PICK = """
const chosen = event => event.target.closest('[data-block]');
const pick = event => {
  const node = chosen(event);
  if (!node) return;
  element.dataset.block = node.dataset.block;
  for (const other of element.querySelectorAll('[data-block]'))
    other.setAttribute('aria-pressed', String(other === node));
  const panels = document.getElementById('il-panels');
  if (panels) panels.dataset.branch = node.dataset.branch ?? '';
  trigger('pick', {block: node.dataset.block});
};
element.addEventListener('click', pick);
element.addEventListener('keydown', event => {
  if (!chosen(event) || !['Enter', ' '].includes(event.key)) return;
  event.preventDefault();
  pick(event);
});
"""
# The block that the drawing says was picked, for the selector beside it; and the other way round.
PICKED = "() => document.querySelector('#il-map [data-block][aria-pressed=true]')?.dataset.block ?? '3a'"
FOLLOW = """block => setTimeout(() => {
  for (const node of document.querySelectorAll('#il-map .il-node'))
    node.classList.toggle('il-here', node.dataset.node === block);
  const pressed = document.querySelector('#il-map [aria-pressed=true]');
  if (pressed?.dataset.block !== block) {
    pressed?.setAttribute('aria-pressed', 'false');
    document.querySelector(`#il-map [data-block="${block}"]`)?.setAttribute('aria-pressed', 'true');
    const panels = document.getElementById('il-panels');
    if (panels) panels.dataset.branch = '';
  }
  // On a phone the drawing is wider than the screen.
  const scroller = document.querySelector('#il-map .il-map-scroll');
  const frame = scroller?.getBoundingClientRect();
  const here = document.querySelector('#il-map .il-here')?.getBoundingClientRect();
  if (frame && here)
    scroller.scrollLeft += here.left + here.width / 2 - frame.left - frame.width / 2;
}, 50)"""


def network_html(
    facts: Mapping[str, Sequence[BranchFacts]],
    prediction: Prediction | None,
    block: str,
    classes: Sequence[str],
    language: str,
) -> str:
    """The drawing with `block` chosen; with the mean maps of a photo and its answer where there is one.

    `classes` are what the network's classes are called.
    """
    width = _lefts()[-1] + NODE + GAP + END
    ends = _photo(prediction, language) + _answer(prediction, classes, width, language)
    nodes = _nodes(tuple(tuple(facts[name]) for name in BLOCKS), block, language)
    return (
        f'<section class="il-map" aria-label="{escape(say(language, "map_title"))}">'
        f'<div class="il-head"><h2>{escape(say(language, "map_title"))}</h2>'
        f"<p>{escape(say(language, 'map_lead' if prediction is None else 'map_lead_photo'))}</p></div>"
        f'<div class="il-map-scroll"><svg viewBox="0 0 {width:g} {HEIGHT}" width="{width:g}" height="{HEIGHT}" '
        f'role="group">{_maps(prediction)}<line class="il-trunk" x1="{END - 8}" y1="{_middle()}" '
        f'x2="{width - END + 8:g}" y2="{_middle()}"/>{ends}{nodes}</svg></div></section>'
    )


def _lefts() -> list[float]:
    """Where the blocks begin: those behind a pool a little further on."""
    lefts, x = [], float(END)
    for name in BLOCKS:
        lefts.append(x + (POOL_GAP if name in ("4a", "5a") else GAP))
        x = lefts[-1] + NODE
    return lefts


# For three networks in two languages: each photo's answer draws them anew, and they are most of the drawing.
@lru_cache(maxsize=3 * 2 * len(BLOCKS))
def _nodes(facts: Sequence[Sequence[BranchFacts]], block: str, language: str) -> str:
    """All that does not depend on the photo."""
    nodes = []
    for name, branches, left in zip(BLOCKS, facts, _lefts(), strict=True):
        if name in ("4a", "5a"):
            nodes.append(_pool(left - POOL_GAP / 2, language))
        nodes.append(_node(name, branches, left, chosen=name == block, language=language))
    return "".join(nodes)


def _middle() -> float:
    return TOP + 2 * ROW


def _maps(prediction: Prediction | None) -> str:
    """All 36 mean maps as one picture, which each branch shows its part of."""
    if prediction is None:
        return ""
    picture = sprite([_means(prediction, block) for block in BLOCKS])
    size = f'width="{picture.width}" height="{picture.height}"'
    return f'<defs><image id="il-maps" href="{data_url(picture)}" {size}/></defs>'


def _means(prediction: Prediction, block: str) -> np.ndarray:
    """The mean map of each branch, (4, H, W): in one sweep, as the channels of a cell lie side by side in memory."""
    slices = prediction.slices[block].values()
    sums = np.add.reduceat(prediction.block(block).transpose(1, 2, 0), [part.start for part in slices], axis=2)
    return (sums / np.array([part.stop - part.start for part in slices], dtype=sums.dtype)).transpose(2, 0, 1)


def _node(name: str, facts: Sequence[BranchFacts], left: float, *, chosen: bool, language: str) -> str:
    first = facts[0]
    channels = sum(fact.channels for fact in facts)
    told = say(language, "map_block", block=name, channels=channels, height=first.height, width=first.width)
    rows = "".join(_branch(fact, number, channels, language) for number, fact in enumerate(facts))
    return (
        f'<g class="il-node{" il-here" if chosen else ""}" data-node="{name}" transform="translate({left:g} 0)">'
        f'<rect class="il-card" x="0.5" y="0.5" width="{NODE - 1}" height="{HEIGHT - 1}" rx="9"/>'
        f'<g role="button" tabindex="0" data-block="{name}" aria-pressed="{str(chosen).lower()}" '
        f'aria-label="{escape(told)}"><rect class="il-hit" width="{NODE}" height="{TOP}" rx="9"/>'
        f'<text class="il-name" x="{NODE / 2}" y="22">{name}</text></g>{rows}'
        f'<text class="il-count" x="{NODE / 2}" y="{HEIGHT - 9}">{channels} · {first.height}×{first.width}</text></g>'
    )


def _branch(fact: BranchFacts, number: int, channels: int, language: str) -> str:
    """A line out of the trunk and back into it, as thick as the branch is wide, with its map on it."""
    y, middle = TOP + number * ROW + ROW / 2, _middle()
    thick = 1.5 + (WIDEST_LINE - 1.5) * fact.channels / channels
    before, behind = (NODE - MAP) / 2, (NODE + MAP) / 2
    path = (
        f"M0 {middle} C{before / 2:g} {middle} {before / 2:g} {y} {before:g} {y} H{behind:g} "
        f"C{(behind + NODE) / 2:g} {y} {(behind + NODE) / 2:g} {middle} {NODE} {middle}"
    )
    place = (list(BLOCKS).index(fact.block) * SMALL_TILE, number * SMALL_TILE)
    picture = (
        f'<svg x="{before:g}" y="{y - MAP / 2:g}" width="{MAP}" height="{MAP}" '
        f'viewBox="{place[1]} {place[0]} {SMALL_TILE} {SMALL_TILE}" preserveAspectRatio="none">'
        f'<use href="#il-maps"/></svg>'
    )
    told = say(language, "map_branch", branch=branch_name(fact, language), block=fact.block, channels=fact.channels)
    return (
        f'<g class="il-way il-{fact.branch}" role="button" tabindex="0" data-block="{fact.block}" '
        f'data-branch="{fact.branch}" aria-pressed="false" aria-label="{escape(told)}">'
        f"<title>{escape(told)}</title>"
        f'<path d="{path}" stroke-width="{thick:.1f}"/>'
        f'<rect class="il-frame" x="{before - 1.5:g}" y="{y - MAP / 2 - 1.5:g}" '
        f'width="{MAP + 3}" height="{MAP + 3}" rx="3"/>'
        f"{picture}</g>"
    )


def _pool(x: float, language: str) -> str:
    label = escape(say(language, "map_pool"))
    return (
        f'<g class="il-pool-mark"><rect x="{x - 7:g}" y="{_middle() - 22}" width="14" height="44" rx="4"/>'
        f'<text x="{x:g}" y="{_middle() - 30}">{label}</text></g>'
    )


def _photo(prediction: Prediction | None, language: str) -> str:
    middle, side = _middle(), END - 24
    top, foot = middle - side / 2, middle + side / 2 + 18
    size = f'y="{top}" width="{side}" height="{side}"'
    if prediction is None:
        inner = f'<rect class="il-empty" x="0.5" {size} rx="6"/>'
    else:
        inner = f'<image href="{data_url(prediction.image)}" x="0" {size}/>'
    photo, stem = (escape(say(language, key)) for key in ("map_photo", "map_stem"))
    return (
        f'<g class="il-end">{inner}<text x="{side / 2}" y="{top - 9}">{photo}</text>'
        f'<text x="{side / 2}" y="{foot}">{stem} →</text></g>'
    )


def _answer(prediction: Prediction | None, classes: Sequence[str], width: float, language: str) -> str:
    middle, side = _middle(), END - 4
    left, centre = width - side, width - side / 2
    label = "?" if prediction is None else classes[prediction.top(1)[0].index].split(",")[0]
    lines = _broken(label)
    first = middle - 8 * (len(lines) - 1) - 4
    words = "".join(
        f'<text class="il-best" x="{centre:g}" y="{first + 16 * number:g}">{escape(line)}</text>'
        for number, line in enumerate(lines)
    )
    of, mean = (escape(say(language, key, classes=len(classes))) for key in ("map_classes", "map_mean"))
    return (
        f'<g class="il-end"><rect class="il-answer-box" x="{left:g}" y="{middle - 38}" width="{side}" height="76" '
        f'rx="8"/>{words}<text class="il-of" x="{centre:g}" y="{middle + 27}">{of}</text>'
        f'<text x="{centre:g}" y="{middle - 48}">{mean}</text></g>'
    )


def _broken(label: str) -> list[str]:
    """At most two lines that fit the box."""
    if _width(label) <= WIDEST_NAME:
        return [label]
    first = _beginning(label)
    word, space, _ = first.rpartition(" ")
    first = word if space and label[len(first) : len(first) + 1] != " " else first
    rest = label[len(first) :].strip()
    return [first, rest if _width(rest) <= WIDEST_NAME else _beginning(rest)[:-1] + "…"]


def _beginning(label: str) -> str:
    while _width(label) > WIDEST_NAME:
        label = label[:-1]
    return label


def _width(label: str) -> int:
    """In Latin letters: a Chinese one takes the room of two."""
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in label)
