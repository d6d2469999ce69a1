"""The HTML of the page's pictures: numbers and arrays in, one string out, so that one update shows all."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape

from PIL import Image

from ...network.anatomy import BranchFacts, parameter_count
from ...prediction import BranchStatistics, Prediction
from ...pretrained.pretrained import PretrainedModel
from ...render import maps as render
from ...render.branches import Panel, ViewOptions
from ...vision.preprocessing import CENTRE_CROP, Crop
from ..class_names import class_names, sort_key
from ..text import say
from .rejection import doubt_html, limits


def block_html(
    panels: Mapping[str, Panel], facts: Sequence[BranchFacts], given: int, picture: ViewOptions, language: str
) -> str:
    """A block's four panels with its legend. `given` is how many channels the block takes."""
    first = facts[0]
    takes = say(
        language,
        "block_takes",
        given=given,
        height=first.height,
        width=first.width,
        sum=" + ".join(str(fact.channels) for fact in facts),
        total=sum(fact.channels for fact in facts),
    )
    articles = "".join(_article(panels[fact.branch], fact, picture, language) for fact in facts)
    return (
        f'<section class="il-block" aria-label="{escape(say(language, "block_title", block=picture.block))}">'
        f'<div class="il-head"><h2>{escape(say(language, "block_title", block=picture.block))}</h2>'
        f"<p>{escape(takes)}</p></div>{_legend(panels, picture, language)}"
        f'<div class="il-panels">{articles}</div></section>'
    )


def _article(panel: Panel, fact: BranchFacts, picture: ViewOptions, language: str) -> str:
    name = branch_name(fact, language)
    alt = say(language, f"alt_{picture.view}", channels=fact.channels, branch=name, block=fact.block)
    own_scale = "" if panel.bounds is None or picture.scale == "shared" else bar_html(panel.bounds, picture.colours)
    numbers = numbers_of(panel, picture, language)
    size = fact.receptive_field.size
    sees = say(language, "sees_all" if fact.wider_than_photo else "sees", size=size)
    cost = say(
        language,
        "cost",
        parameters=f"{fact.cost.parameters:,}",
        multiplications=f"{fact.cost.multiplications / 1e6:,.1f}",
    )
    return (
        f'<article class="il-panel il-{fact.branch}" data-branch="{fact.branch}">'
        f"<h3>{escape(name)} <small>{escape(say(language, 'channels', channels=fact.channels))}</small></h3>"
        f"<p>{escape(_window(fact, language))}<br>{escape(sees)}</p>"
        f'<img src="{data_url(panel.image)}" width="{panel.image.width}" height="{panel.image.height}" '
        f'alt="{escape(alt)}">'
        f"{own_scale}<p>{escape(numbers)}<br>{escape(cost)}</p></article>"
    )


def branch_name(fact: BranchFacts, language: str) -> str:
    """ "5×5", or "5×5 (runs 3×3)" where the layer is not what its name says."""
    if fact.branch == "pool":
        return say(language, "pool")
    name = fact.branch.replace("x", "×")
    if fact.label == fact.branch:
        return name
    return say(language, "runs", branch=name, kernel=fact.kernel)


def _window(fact: BranchFacts, language: str) -> str:
    if fact.branch == "pool":
        return say(language, "window_pool", kernel=fact.kernel)
    if fact.reduced_to is None:
        return say(language, "window", kernel=fact.kernel)
    return say(language, "window_reduced", reduced=fact.reduced_to, kernel=fact.kernel)


def numbers_of(panel: Panel, picture: ViewOptions, language: str) -> str:
    """The numbers that belong to a panel's picture."""
    if picture.view != "channels":
        return say(language, "numbers_mean", lowest=short(panel.shown_low), highest=short(panel.shown_high))
    numbers: BranchStatistics = panel.numbers
    return say(
        language,
        "numbers_signed" if numbers.lowest < 0 else "numbers",
        lowest=short(numbers.lowest),
        highest=short(numbers.highest),
        mean=short(numbers.mean),
        silent=numbers.silent,
        channels=numbers.channels,
    )


def _legend(panels: Mapping[str, Panel], picture: ViewOptions, language: str) -> str:
    any_panel = next(iter(panels.values()))
    bar = ""
    if picture.scale == "shared" and any_panel.bounds is not None:
        bar = bar_html(any_panel.bounds, picture.colours)
    words = " · ".join(legend_of(panels, picture, language))
    return f'<div class="il-legend">{bar}<p>{escape(words)}</p></div>'


def legend_of(panels: Mapping[str, Panel], picture: ViewOptions, language: str) -> list[str]:
    """How the colours of a block's panels are to be read."""
    any_panel = next(iter(panels.values()))
    scale = "branch" if picture.scale == "channel" and any_panel.bounds is not None else picture.scale
    words = [say(language, f"legend_{scale}")]
    if any(panel.signed for panel in panels.values()):
        words.append(say(language, "legend_signed"))
    if picture.view == "channels" and any(panel.numbers.silent for panel in panels.values()):
        words.append(say(language, "legend_silent"))
    return words


def bar_html(bounds: render.Limits, colours: str) -> str:
    """A colour scale between the two numbers that its ends stand for."""
    url = data_url(render.colour_bar(colours, signed=bounds.signed))
    return (
        f'<div class="il-bar"><span>{short(bounds.low)}</span><img src="{url}" alt="">'
        f"<span>{short(bounds.high)}</span></div>"
    )


def seen_html(prediction: Prediction, pretrained: PretrainedModel, frame: Crop, device: str, language: str) -> str:
    """The exact square that the network saw, which part of the photo it is, and how it was computed."""
    how = pretrained.preprocessing
    key = "seen_note" if how.crop == how.size else "seen_note_small"
    which = "whole" if frame.whole else "centre" if frame == CENTRE_CROP else "moved"
    part = say(language, f"part_{which}_seen")
    facts = [
        say(language, "ran_on", classes=len(pretrained.labels), device=device, milliseconds=prediction.seconds * 1000)
    ]
    if pretrained.temperature != 1:
        facts.append(say(language, "calibrated", temperature=pretrained.temperature))
    return (
        doubt_html(prediction, language)
        + f'<figure class="il-seen"><img src="{data_url(prediction.image)}" alt="{escape(say(language, "seen_alt"))}">'
        f"<figcaption><strong>{escape(say(language, 'seen'))}</strong><br>"
        f"{escape(say(language, key, part=part, size=how.size, crop=how.crop))}<br>{escape(' · '.join(facts))}"
        "</figcaption></figure>"
    )


def about_html(pretrained: PretrainedModel, language: str) -> str:
    """Where the network comes from and how good it is."""
    told = pretrained.provenance
    rows = [
        ("about_name", pretrained.name),
        ("about_source", told.source),
        ("about_training", told.training_data),
        ("about_accuracy", told.accuracy),
        ("about_limits", limits(pretrained, language)),
        ("about_parameters", f"{parameter_count(pretrained.model):,}"),
        ("about_licence", told.licence),
        ("about_notice", told.notice),
    ]
    items = "".join(f"<dt>{escape(say(language, key))}</dt><dd>{escape(value)}</dd>" for key, value in rows if value)
    names = escape(", ".join(sorted(class_names(pretrained, language), key=sort_key)))
    classes = f"<details><summary>{len(pretrained.labels):,}</summary>{names}</details>"
    return f'<dl class="il-about">{items}<dt>{escape(say(language, "about_classes"))}</dt><dd>{classes}</dd></dl>'


def message_html(sentence: str, *, alarm: bool = False) -> str:
    """A sentence in place of a picture; `alarm` for what went wrong."""
    kind, role = ("il-alarm", "alert") if alarm else ("il-waiting", "status")
    return f'<p class="{kind}" role="{role}">{escape(sentence)}</p>' if sentence else ""


def header_html(language: str) -> str:
    """The page's name and its question."""
    return f"<header><h1>{escape(say(language, 'title'))}</h1><p>{escape(say(language, 'tagline'))}</p></header>"


def data_url(image: Image.Image) -> str:
    """The picture inside the page itself: nothing is left on the server, nothing is fetched."""
    kind = "png" if image.mode == "P" else "jpeg"
    return f"data:image/{kind};base64,{b64encode(render.encode(image)).decode()}"


def short(value: float) -> str:
    """Three digits or so, without a power of ten for the sizes that activations have."""
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
