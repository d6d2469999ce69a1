"""What the stage says of one channel of a network, as plain data."""

from __future__ import annotations

from typing import Any

from ...checks import whole
from ...explain.circuit import cell_circuit, logit_circuit
from ...network.blocks import BRANCHES
from ...prediction import Prediction
from ...pretrained.pretrained import PretrainedModel
from ...service.query import Query
from ...service.service import InferenceService
from ...units.similarity import most_similar
from ...units.tuning import LayerTuning, layer_tuning, stimulus_grid
from ...units.wiring import wiring
from .network import grey_query
from .scene import Cell


def tuning_of_block(pretrained: PretrainedModel, prediction: Prediction, block: str) -> LayerTuning:
    """Return `layer_tuning` on fewer stimuli than by default: a visitor waits for it. It depends on no prediction."""
    return layer_tuning(pretrained, block, stimulus_grid(pretrained.input_size, orientations=8, wavelengths=5))


def unit_tuning(service: InferenceService, name: str, block: str, branch: str, channel: int) -> dict[str, Any]:
    """Tuning of one channel, and the channels of its block that are tuned most alike.

    `curves` is by feature, as in `units.tuning.ChannelCurve`; `alike` is a list of `{"branch", "channel",
    "similarity"}`, empty for a silent channel.
    """
    pretrained = service.pretrained(name)
    number = number_of(pretrained, block, branch, channel)
    tuned = service.explained(grey_query(service, name), tuning_of_block, block)
    slices = pretrained.model.block(block).slices
    return {
        **tuned.channel(number).to_dict(),
        "alike": [
            {
                "branch": (own := next(one for one in BRANCHES if other < slices[one].stop)),
                "channel": other - slices[own].start,
                "similarity": similarity,
            }
            for other, similarity in most_similar(tuned, number)
        ],
    }


def unit_wiring(service: InferenceService, name: str, block: str, branch: str, channel: int) -> dict[str, Any]:
    """The strongest connections of one channel, as in `units.wiring.Wiring`."""
    return wiring(service.pretrained(name).model, block, branch, channel).to_dict()


def circuit_of_cell(service: InferenceService, query: Query, place: Cell) -> dict[str, Any]:
    """A cell before its ReLU as a sum over the block before, as in `explain.circuit.Circuit`."""
    return service.explained(
        query, cell_circuit, place.block, place.branch, place.channel, place.row, place.column
    ).to_dict()


def circuit_of_logit(service: InferenceService, query: Query, index: int | None) -> dict[str, Any]:
    """The logit of a class as a sum over block 5b, as in `explain.circuit.Circuit`."""
    return service.explained(query, logit_circuit, index).to_dict()


def number_of(pretrained: PretrainedModel, block: str, branch: str, channel: int) -> int:
    """Return the number of a branch's channel in its block's output.

    Raises:
        UserError: if the branch has no such channel.
    """
    part = pretrained.model.block(block).slices[branch]
    return part.start + whole("channel", channel, 0, part.stop - part.start - 1)
