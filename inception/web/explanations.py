"""What the page answers to "why this answer?". Each method makes the HTML of one explanation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from ..explain.ablation import (
    AblationResult,
    AblationTable,
    ClassChange,
    ablate,
    ablation_table,
    single_ablation_logits,
)
from ..explain.attribution import Evidence, GradCam, evidence, grad_cams
from ..explain.convolution import trace_convolution
from ..explain.receptive_field import cell_square, effective_field
from ..explain.shapley import BranchVotes, branch_votes, subset_logits
from ..prediction import Prediction
from ..pretrained.pretrained import PretrainedModel
from ..render.branches import ViewOptions
from ..render.maps import SMALL_TILE, mosaic_cell
from ..service.query import Query
from ..service.service import InferenceService
from .class_names import class_name
from .handlers import alert
from .panels.block import branch_name, message_html
from .panels.bottleneck import bottleneck_html
from .panels.cell import cell_html
from .panels.channel import channel_html
from .panels.evidence import cams_html, evidence_html
from .panels.votes import glance_html, nothing_off_html, switched_html, votes_html
from .text import say

OfClass = TypeVar("OfClass", BranchVotes, AblationTable, Evidence, GradCam, ClassChange)


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

    picture: ViewOptions
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
    """Bound to a service; holds nothing else. What goes wrong comes back as a sentence in place of the HTML."""

    def __init__(self, service: InferenceService) -> None:
        self.service = service
        self._tabs: dict[str, Callable[[Query, Question, str], str]] = {
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

    def tab(self, name: str, query: Query | None, question: Question, language: str) -> str:
        """The explanation called `name`."""
        if query is None:
            return message_html(say(language, "why_waiting"))
        try:
            return self._tabs[name](query, question, language)
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

    def switched(self, query: Query | None, question: Question, language: str) -> str:
        """The answer with branches and channels of the block off."""
        if query is None:
            return ""
        if not question.branches_off and not question.channels_off:
            return nothing_off_html(question.block, language)
        try:
            told = self.service.explained(
                query, ablate, question.block, question.branches_off, question.channels_off, question.off
            )
        except Exception as error:
            return alert(error, language)
        slices = self.service.pretrained(query.model).model.block(question.block).slices
        told = self._renamed(query, told, language)
        return switched_html(told, slices, self._names(query, question, language), language)

    def picked(self, query: Query | None, picture: ViewOptions, branch: str, across: float, down: float) -> Cell | None:
        """The cell under a point of a branch's picture; in a mean map, of the channel that is highest there."""
        if query is None:
            return None
        maps = self.service.prediction(query).branch(picture.block, branch)
        if picture.view == "channels":
            found = mosaic_cell(maps.shape, across, down, tile=SMALL_TILE)
            return None if found is None else Cell(branch, *found)
        height, width = maps.shape[1:]
        row, column = min(int(down * height), height - 1), min(int(across * width), width - 1)
        return Cell(branch, int(maps[:, row, column].argmax()), row, column)

    def channel(self, query: Query, picture: ViewOptions, cell: Cell, language: str) -> str:
        """The channel of a cell, enlarged over the photo."""
        try:
            return channel_html(
                self.service.prediction(query),
                self.service.readout(query.model, picture.block),
                cell.branch,
                cell.channel,
                (cell.row, cell.column),
                name=self._names(query, Question(picture), language)[cell.branch],
                colours=picture.colours,
                language=language,
            )
        except Exception as error:
            return alert(error, language)

    def brightest(self, query: Query | None, block: str, branch: str) -> Cell | None:
        """Where a branch's activation is highest: a cell worth looking at, before any was chosen."""
        if query is None:
            return None
        maps = self.service.prediction(query).branch(block, branch)
        channel, row, column = np.unravel_index(int(maps.argmax()), maps.shape)
        return Cell(branch, int(channel), int(row), int(column))

    def channel_in_block(self, query: Query, block: str, cell: Cell) -> int:
        """The number of a cell's channel in the block's whole output."""
        return int(self.service.pretrained(query.model).model.block(block).slices[cell.branch].start) + cell.channel

    def _named(self, query: Query, told: OfClass, language: str) -> OfClass:
        """The same, with its class called by its name in the visitor's language."""
        pretrained = self.service.pretrained(query.model)
        return replace(told, label=class_name(pretrained, told.index, language, short=True))

    def _renamed(self, query: Query, told: AblationResult, language: str) -> AblationResult:
        """The same for all the classes of an answer."""

        def named(changes: tuple[ClassChange, ...]) -> tuple[ClassChange, ...]:
            return tuple(self._named(query, change, language) for change in changes)

        (first,) = named((told.first_before,))
        return replace(
            told, top=named(told.top), first_before=first, risen=named(told.risen), fallen=named(told.fallen)
        )

    def _votes(self, query: Query, question: Question, language: str) -> str:
        logits = self.service.explained(query, subset_logits, question.block, question.off)
        told = branch_votes(*self._of(query), question.block, question.wanted, question.off, logits)
        told = self._named(query, told, language)
        return votes_html(told, self._names(query, question, language), language)

    def _network(self, query: Query, question: Question, language: str) -> str:
        logits = self.service.explained(query, single_ablation_logits, question.off)
        told = ablation_table(*self._of(query), question.wanted, question.off, logits)
        told = self._named(query, told, language)
        return glance_html(told, question.block, self._names(query, question, language), language)

    def _evidence(self, query: Query, question: Question, language: str) -> str:
        told = self._named(query, self.service.explained(query, evidence, question.wanted), language)
        return evidence_html(
            told, self.service.prediction(query.exact), self._names(query, question, language), language
        )

    def _cam(self, query: Query, question: Question, language: str) -> str:
        cams = self.service.explained(query, grad_cams, question.block, question.wanted)
        told = {branch: self._named(query, cam, language) for branch, cam in cams.items()}
        return cams_html(
            told,
            self.service.prediction(query.exact),
            question.block,
            self._names(query, question, language),
            language,
            rectified=question.rectified,
        )

    def _cell(self, query: Query, question: Question, language: str) -> str:
        cell = question.cell
        if cell is None:
            return message_html(say(language, "whole_numbers"), alarm=True)
        block, branch, row, column = question.block, cell.branch, cell.row, cell.column
        told = self.service.explained_uncached(query, trace_convolution, block, branch, cell.channel, row, column)
        pretrained, prediction = self._of(query)
        square = cell_square(pretrained.model, block, branch, row, column)
        field = self.service.explained(query, effective_field, block, branch, row, column)
        return cell_html(told, field, square, prediction, self._names(query, question, language), language)

    def _bottleneck(self, query: Query, question: Question, language: str) -> str:
        picture = question.picture
        return self.service.explained_uncached(
            query, bottleneck_html, picture.block, language, picture.scale, picture.colours
        )

    def _of(self, query: Query) -> tuple[PretrainedModel, Prediction]:
        return self.service.pretrained(query.model), self.service.prediction(query.exact)

    def _names(self, query: Query, question: Question, language: str) -> dict[str, str]:
        facts = self.service.facts(query.model)[question.block]
        return {fact.branch: branch_name(fact, language) for fact in facts}
