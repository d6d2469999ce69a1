"""One channel enlarged over the photo, and the ribbon of all channels that a block hands on."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import numpy as np

from ...explain.readout import CLASSIFIER, ChannelReadout
from ...export.figure import BRANCH_COLOURS
from ...prediction import Prediction
from ...render.maps import limits, overlay, ribbon
from ..text import say
from .block import bar_html, data_url, short


def channel_html(
    prediction: Prediction,
    reading: ChannelReadout,
    branch: str,
    channel: int,
    cell: tuple[int, int],
    *,
    name: str,
    colours: str,
    language: str,
) -> str:
    """A channel of a branch over the photo, with its numbers.

    `cell` is (row, column), `name` what the branch is called.
    """
    values = prediction.branch(reading.block, branch)[channel]
    number = prediction.slices[reading.block][branch].start + channel
    own, (row, column), (height, width) = limits(values), cell, values.shape
    zero = float((values == 0).mean())
    facts = [
        say(language, "lens_number", number=number, channels=len(reading.strengths)),
        say(language, "lens_range", lowest=short(values.min()), highest=short(values.max()), mean=short(values.mean())),
        say(language, "lens_all_silent" if zero == 1 else "lens_silent", share=f"{zero:.0%}"),
        say(language, "lens_cell", row=row, column=column, value=short(values[row, column])),
        say(
            language,
            "lens_read",
            rank=int((reading.strengths > reading.strengths[number]).sum()) + 1,
            channels=len(reading.strengths),
            reader=reader_name(reading, language),
        ),
    ]
    title = say(language, "lens_title", channel=channel, branch=name, block=reading.block)
    across, down = 100 / width, 100 / height  # per cent of the picture that a cell takes
    mark = f"left:{across * column:.3f}%;top:{down * row:.3f}%;width:{across:.3f}%;height:{down:.3f}%"
    return (
        f'<section class="il-lens il-{branch}" aria-label="{escape(title)}"><div class="il-lens-photo">'
        f'<img src="{data_url(overlay(prediction.image, values, own, colours))}" '
        f'alt="{escape(say(language, "lens_alt", channel=channel))}"><span style="{mark}"></span></div>'
        f"<div><h3>{escape(title)}</h3>{bar_html(own, colours)}"
        f"<ul>{''.join(f'<li>{escape(fact)}</li>' for fact in facts)}</ul>"
        f'<p><a href="#il-why">{escape(say(language, "lens_more"))} ↓</a></p></div></section>'
    )


def ribbon_html(prediction: Prediction, reading: ChannelReadout, names: Mapping[str, str], language: str) -> str:
    """Which channels of a block's output came from which branch, how active they are and how strongly they are read."""
    slices = prediction.slices[reading.block]
    active = np.abs(prediction.block(reading.block)).mean(axis=(1, 2))
    rows = "".join(
        f'<div class="il-ribbon-row"><span>{escape(say(language, key))}</span>'
        f'<img src="{data_url(ribbon([(values[part], BRANCH_COLOURS[branch]) for branch, part in slices.items()]))}" '
        f'alt="{escape(say(language, "ribbon_alt", what=say(language, key), channels=len(values)))}"></div>'
        for key, values in (("ribbon_mean", active), ("ribbon_read", reading.strengths))
    )
    heads = "".join(
        f'<span class="il-{branch}" style="flex:{part.stop - part.start}">{escape(names[branch])} '
        f"{part.start}–{part.stop - 1}</span>"
        for branch, part in slices.items()
    )
    shares = say(language, "votes_semicolon").join(
        say(language, "ribbon_share", share=f"{share:.0%}", branch=names[branch])
        for branch, share in reading.shares.items()
    )
    title = say(language, "ribbon_title", reader=reader_name(reading, language))
    return (
        f'<div class="il-ribbon"><h3>{escape(title)}</h3><div class="il-ribbon-heads">{heads}</div>{rows}'
        f"<p>{escape(say(language, 'ribbon_shares', shares=shares))}</p></div>"
    )


def reader_name(reading: ChannelReadout, language: str) -> str:
    """Who reads the channels."""
    if reading.reader == CLASSIFIER:
        return say(language, "reader_classifier")
    return say(language, "reader_block", reader=reading.reader)
