"""Plain data of the page of one channel."""

from __future__ import annotations

import io
from base64 import b64encode
from dataclasses import asdict
from typing import Any

import numpy as np
from PIL import Image

from ...explain.circuit import cell_circuit, logit_circuit
from ...network.blocks import BRANCHES
from ...prediction import Prediction
from ...pretrained.pretrained import PretrainedModel
from ...service.query import Query
from ...service.service import InferenceService
from ...service.visualizations import GOALS, Visualizations
from ...units.atlas import BranchRecord, ChannelRecord
from ...units.similarity import most_similar
from ...units.tuning import LayerTuning, layer_tunings
from ...units.unit import Unit
from ...units.wiring import wiring
from .packing import pack
from .scene import Cell

QUALITY = 90  # of WebP
GAP, GREY = 4, 128  # pixels between images, and their value


def tuning_of_blocks(pretrained: PretrainedModel, prediction: Prediction) -> dict[str, LayerTuning]:
    """Return `layer_tunings`, on the stimuli of the command `census`, so that both say the same.

    It depends on no prediction. All blocks together take little longer than one: most of the time goes into drawing
    and the first layers.
    """
    return layer_tunings(pretrained)


def network_tuning(service: InferenceService, name: str) -> dict[str, LayerTuning]:
    """Return the tuning of all blocks of a network, measured once for all callers."""
    return service.explained(service.grey_query(name), tuning_of_blocks)


def unit_tuning(service: InferenceService, name: str, block: str, branch: str, channel: int) -> dict[str, Any]:
    """Tuning of one channel, and the channels of its block that are tuned most alike.

    `curves` is by feature, as in `units.tuning.ChannelCurve`; `alike` is a list of `{"branch", "channel",
    "similarity"}`, empty for a silent channel.
    """
    pretrained = service.pretrained(name)
    Unit(block, branch, channel).check(pretrained)
    slices = pretrained.model.block(block).slices
    number = slices[branch].start + channel
    tuned = network_tuning(service, name)[block]
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


def unit_image(
    service: InferenceService, images: Visualizations, name: str, unit: Unit, goal: str, step: int
) -> dict[str, Any]:
    """The images of `service.visualizations` for a goal, as one picture, further on than at `step`.

    At step -1, only what is known already, also from the network's atlas. `activations` are those of the images; `url`
    is null where there is none yet. `path` is `units.naturalness.Naturalness` of the first finished image; null
    before, and for an image of the atlas.
    """
    progress = images.known(name, unit, goal) if step < 0 else images.after(name, unit, goal, step)
    if progress is not None:
        shown, path = progress.shown, progress.naturalness
        return {
            "step": shown.step,
            "steps": shown.steps,
            "activations": list(shown.activation),
            "url": _url(_webp(_side_by_side(shown.image))),
            "path": None if path is None else path.to_dict(),
        }
    if goal == next(iter(GOALS)) and (found := _in_atlas(service, name, unit)) is not None:
        record, branch = found
        if (image := branch.image(record.channel)) is not None:
            return {"step": 1, "steps": 1, "activations": [record.activation], "url": _url(image), "path": None}
    return {"step": 0, "steps": 0, "activations": [], "url": None, "path": None}


def _side_by_side(images: np.ndarray) -> np.ndarray:
    """Return images (N, H, W, 3) as one picture, two in a row."""
    if len(images) == 1:
        return np.asarray(images[0])
    framed = np.pad(images, ((0, 0), (0, GAP), (0, GAP), (0, 0)), constant_values=GREY)
    rows = [np.concatenate(framed[start : start + 2], axis=1) for start in range(0, len(framed), 2)]
    return np.concatenate(rows)[:-GAP, :-GAP]


def unit_atlas(service: InferenceService, name: str, block: str, branch: str, channel: int) -> dict[str, Any]:
    """Return the atlas entry of a channel; each value is null where the atlas has none.

    `places` is a picture of two rows of squares: the strongest places above, random ones below. `values` are those of
    the strongest; `classes` is a list of `{"label", "area"}`.
    """
    unit = Unit(block, branch, channel)
    unit.check(service.pretrained(name))
    found, atlas = _in_atlas(service, name, unit), service.atlas(name)
    if found is None or atlas is None:
        return dict.fromkeys(("photos", "places", "values", "classes", "silent"))
    record, own = found
    places = own.places(channel)
    return {
        "photos": atlas.data.photos,
        "places": None if places is None else _url(places),
        "values": [place.value for place in record.strongest],
        "classes": [asdict(one) for one in record.classes],
        "silent": record.silent,
    }


def _in_atlas(service: InferenceService, name: str, unit: Unit) -> tuple[ChannelRecord, BranchRecord] | None:
    atlas = service.atlas(name)
    if atlas is None or unit.channel is None or (unit.block, unit.branch) not in atlas.branches:
        return None
    branch = atlas.branch(unit.block, unit.branch)
    record = branch.channels.get(unit.channel)
    return None if record is None else (record, branch)


def _webp(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "WEBP", quality=QUALITY)
    return file.getvalue()


def _url(webp: bytes) -> str:
    return f"data:image/webp;base64,{b64encode(webp).decode('ascii')}"


def block_tuning(service: InferenceService, name: str, block: str) -> dict[str, Any]:
    """Return the tuning of each channel of a block, packed: selectivity for orientation and colour, and preferred size.

    The size is the diameter in pixels of the disc that it responds to most. Channels that do not respond have 0.
    """
    curves = network_tuning(service, name)[block].curves
    return {
        "model": name,
        "block": block,
        "orientation": pack(np.nan_to_num(curves["orientation"].selectivity)),
        "colour": pack(np.nan_to_num(curves["colour"].selectivity)),
        "size": pack(np.nan_to_num(curves["size"].preferred)),
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
