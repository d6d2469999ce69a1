"""What the page answers to "why this answer?". Each method makes the HTML of one explanation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from ..explain.convolution import by_hand
from ..explain.evidence import Evidence, GradCam, evidence, grad_cams
from ..explain.sight import cell_square, effective_field
from ..explain.votes import Change, Glance, Switched, Votes, glance, single_logits, subset_logits, switched, votes
from ..observation import Observation
from ..pictures import Picture
from ..render import SMALL_TILE, mosaic_cell
from ..weights import Pretrained
from .bottleneck_panel import bottleneck_html
from .cell_panel import cell_html
from .channel_panel import channel_html
from .class_names import class_name
from .evidence_panel import cams_html, evidence_html
from .handlers import alert
from .panels import branch_name, message_html
from .runner import Look
from .studio import Studio
from .text import say
from .votes_panel import glance_html, nothing_off_html, switched_html, votes_html

OfClass = TypeVar("OfClass", Votes, Glance, Evidence, GradCam, Change)


@dataclass(frozen=True)
class Cell:
    """One cell of one channel of a branch; all counted from 0, the channel within its branch."""

    branch: str
    channel: int
    row: int
    column: int


@dataclass(frozen=True)
class Question:
    """What a visitor wants explained, and what is switched off for it.

    `wanted` is a class's number, or nothing for the most probable class. `channels_off` are counted
    through the block's whole output, `branches_off` and `off` are as `explain.votes` takes them.
    """

    picture: Picture
    wanted: int | None = None
    off: str = "zero"
    branches_off: tuple[str, ...] = ()
    channels_off: tuple[int, ...] = ()
    cell: Cell | None = None
    rectified: bool = False

    @property
    def block(self) -> str:
        return self.picture.block


class Why:
    """Bound to a studio; holds nothing else. What goes wrong comes back as a sentence in place of the HTML."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self._tabs: dict[str, Callable[[Look, Question, str], str]] = {
            "votes": self._votes,
            "network": self._network,
            "evidence": self._evidence,
            "cam": self._cam,
            "cell": self._cell,
            "bottleneck": self._bottleneck,
        }

    @property
    def tabs(self) -> tuple[str, ...]:
        """Names of the explanations, in the order of the page."""
        return tuple(self._tabs)

    def tab(self, name: str, look: Look | None, question: Question, language: str) -> str:
        """The explanation called `name`."""
        if look is None:
            return message_html(say(language, "why_waiting"))
        try:
            return self._tabs[name](look, question, language)
        except Exception as error:
            return alert(error, language)

    def depends(self, name: str, question: Question) -> tuple[object, ...]:
        """What the explanation called `name` depends on, besides photo, network and language."""
        picture = question.picture
        return {
            "votes": (question.block, question.wanted, question.off),
            "network": (question.block, question.wanted, question.off),
            "evidence": (question.wanted,),
            "cam": (question.block, question.wanted, question.rectified),
            "cell": (question.block, question.cell),
            "bottleneck": (question.block, picture.scale, picture.colours),
        }[name]

    def switched(self, look: Look | None, question: Question, language: str) -> str:
        """The answer with branches and channels of the block off."""
        if look is None:
            return ""
        if not question.branches_off and not question.channels_off:
            return nothing_off_html(question.block, language)
        try:
            told = self.studio.explained(
                look, switched, question.block, question.branches_off, question.channels_off, question.off
            )
        except Exception as error:
            return alert(error, language)
        slices = self.studio.pretrained(look.model).model.block(question.block).slices
        told = self._renamed(look, told, language)
        return switched_html(told, slices, self._names(look, question, language), language)

    def picked(self, look: Look | None, picture: Picture, branch: str, across: float, down: float) -> Cell | None:
        """The cell under a point of a branch's picture; in a mean map, of the channel that is highest there."""
        if look is None:
            return None
        maps = self.studio.observation(look).branch(picture.block, branch)
        if picture.view == "channels":
            found = mosaic_cell(maps.shape, across, down, tile=SMALL_TILE)
            return None if found is None else Cell(branch, *found)
        height, width = maps.shape[1:]
        row, column = min(int(down * height), height - 1), min(int(across * width), width - 1)
        return Cell(branch, int(maps[:, row, column].argmax()), row, column)

    def channel(self, look: Look, picture: Picture, cell: Cell, language: str) -> str:
        """The channel of a cell, enlarged over the photo."""
        try:
            return channel_html(
                self.studio.observation(look),
                self.studio.reading(look.model, picture.block),
                cell.branch,
                cell.channel,
                (cell.row, cell.column),
                name=self._names(look, Question(picture), language)[cell.branch],
                colours=picture.colours,
                language=language,
            )
        except Exception as error:
            return alert(error, language)

    def brightest(self, look: Look | None, block: str, branch: str) -> Cell | None:
        """Where a branch's activation is highest: a cell worth looking at, before any was chosen."""
        if look is None:
            return None
        maps = self.studio.observation(look).branch(block, branch)
        channel, row, column = np.unravel_index(int(maps.argmax()), maps.shape)
        return Cell(branch, int(channel), int(row), int(column))

    def channel_in_block(self, look: Look, block: str, cell: Cell) -> int:
        """The number of a cell's channel in the block's whole output."""
        return int(self.studio.pretrained(look.model).model.block(block).slices[cell.branch].start) + cell.channel

    def _named(self, look: Look, told: OfClass, language: str) -> OfClass:
        """The same, with its class called by its name in the visitor's language."""
        pretrained = self.studio.pretrained(look.model)
        return replace(told, label=class_name(pretrained, told.index, language, short=True))

    def _renamed(self, look: Look, told: Switched, language: str) -> Switched:
        """The same for all the classes of an answer."""

        def named(changes: tuple[Change, ...]) -> tuple[Change, ...]:
            return tuple(self._named(look, change, language) for change in changes)

        (first,) = named((told.first_before,))
        return replace(
            told, top=named(told.top), first_before=first, risen=named(told.risen), fallen=named(told.fallen)
        )

    def _votes(self, look: Look, question: Question, language: str) -> str:
        logits = self.studio.explained(look, subset_logits, question.block, question.off)
        told = votes(*self._of(look), question.block, question.wanted, question.off, logits)
        told = self._named(look, told, language)
        return votes_html(told, self._names(look, question, language), language)

    def _network(self, look: Look, question: Question, language: str) -> str:
        logits = self.studio.explained(look, single_logits, question.off)
        told = glance(*self._of(look), question.wanted, question.off, logits)
        told = self._named(look, told, language)
        return glance_html(told, question.block, self._names(look, question, language), language)

    def _evidence(self, look: Look, question: Question, language: str) -> str:
        told = self._named(look, self.studio.explained(look, evidence, question.wanted), language)
        return evidence_html(told, self.studio.observation(look.exact), self._names(look, question, language), language)

    def _cam(self, look: Look, question: Question, language: str) -> str:
        cams = self.studio.explained(look, grad_cams, question.block, question.wanted)
        told = {branch: self._named(look, cam, language) for branch, cam in cams.items()}
        return cams_html(
            told,
            self.studio.observation(look.exact),
            question.block,
            self._names(look, question, language),
            language,
            rectified=question.rectified,
        )

    def _cell(self, look: Look, question: Question, language: str) -> str:
        cell = question.cell
        if cell is None:
            return message_html(say(language, "whole_numbers"), alarm=True)
        block, branch, row, column = question.block, cell.branch, cell.row, cell.column
        told = self.studio.computed(look, by_hand, block, branch, cell.channel, row, column)
        pretrained, observation = self._of(look)
        square = cell_square(pretrained.model, block, branch, row, column)
        field = self.studio.explained(look, effective_field, block, branch, row, column)
        return cell_html(told, field, square, observation, self._names(look, question, language), language)

    def _bottleneck(self, look: Look, question: Question, language: str) -> str:
        picture = question.picture
        return self.studio.computed(look, bottleneck_html, picture.block, language, picture.scale, picture.colours)

    def _of(self, look: Look) -> tuple[Pretrained, Observation]:
        return self.studio.pretrained(look.model), self.studio.observation(look.exact)

    def _names(self, look: Look, question: Question, language: str) -> dict[str, str]:
        facts = self.studio.facts(look.model)[question.block]
        return {fact.branch: branch_name(fact, language) for fact in facts}
