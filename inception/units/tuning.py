"""Tuning of single channels: how their responses depend on orientation, wavelength, size and colour of a stimulus.

One picture at a time, one response each: the value of the channel at its layer's middle cell, behind the ReLU, as far
as it is above that for plain grey. The same measurements are made of cells in the visual cortex.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, product
from typing import Any

import numpy as np

from ..checks import choice, whole
from ..network.blocks import BLOCKS
from ..pretrained.pretrained import PretrainedModel
from .middle_cell import LAYERS, MiddleCell, middle_cell, middle_values
from .selectivity import mean_vector, sparseness
from .stimuli import Stimulus, draw

FEATURES = ("orientation", "wavelength", "size", "colour")
SMALLEST = 4.0  # pixels: the least wavelength and diameter
LARGEST_WAVELENGTH, LARGEST_DIAMETER, PATCH = 0.3, 0.6, 0.4  # of the input's side
RESPONDS = 0.001  # least response that counts, of the greatest response in the layer


@dataclass(frozen=True)
class StimulusGrid:
    """The stimuli that tuning is measured with.

    Every orientation of a grating is shown with every wavelength and in every phase; every diameter as a light and as
    a dark disc; every hue as a patch of `patch` pixels. Angles are in degrees, lengths in pixels.
    """

    orientations: tuple[float, ...]
    wavelengths: tuple[float, ...]
    phases: tuple[float, ...]
    diameters: tuple[float, ...]
    hues: tuple[float, ...]
    patch: float

    def __len__(self) -> int:
        """Number of pictures."""
        gratings = len(self.orientations) * len(self.wavelengths) * len(self.phases)
        return gratings + 2 * len(self.diameters) + len(self.hues)


def stimulus_grid(
    side: int, orientations: int = 12, wavelengths: int = 6, phases: int = 4, diameters: int = 8, hues: int = 12
) -> StimulusGrid:
    """Return the stimuli for an input of `side` pixels, from the number of values of each parameter.

    Angles are spaced evenly. Wavelengths and diameters rise by one factor, from `SMALLEST` to `LARGEST_WAVELENGTH` and
    `LARGEST_DIAMETER` of the side.

    Raises:
        UserError: if a number is not from 2 to 360.
    """
    counts = {"orientations": orientations, "wavelengths": wavelengths, "phases": phases}
    counts |= {"diameters": diameters, "hues": hues}
    counts = {name: whole(name, count, 2, 360) for name, count in counts.items()}
    return StimulusGrid(
        orientations=_turns(180, counts["orientations"]),
        wavelengths=_lengths(LARGEST_WAVELENGTH * side, counts["wavelengths"]),
        phases=_turns(360, counts["phases"]),
        diameters=_lengths(LARGEST_DIAMETER * side, counts["diameters"]),
        hues=_turns(360, counts["hues"]),
        patch=PATCH * side,
    )


def _turns(circle: int, count: int) -> tuple[float, ...]:
    return tuple(circle * number / count for number in range(count))


def _lengths(longest: float, count: int) -> tuple[float, ...]:
    lengths = np.geomspace(SMALLEST, max(longest, 2 * SMALLEST), count)
    return tuple(round(float(length), 1) for length in lengths)


@dataclass(frozen=True, eq=False)
class Curves:
    """Tuning of all channels of a layer to one feature. All arrays are read-only.

    Attributes:
        values: of the feature, (V,): degrees or pixels.
        responses: of the channels, (C, V).
        preferred: the value of each channel's greatest response, (C,); NaN where the channel does not respond.
        selectivity: from 0 (all values alike) to 1 (a single value), (C,); NaN where the channel does not respond. For
            orientation and colour it is the length of the mean vector, for wavelength and size `sparseness`.
    """

    values: np.ndarray
    responses: np.ndarray = field(repr=False)
    preferred: np.ndarray = field(repr=False)
    selectivity: np.ndarray = field(repr=False)


@dataclass(frozen=True, eq=False)
class LayerTuning:
    """Tuning of all channels of a layer at its middle cell.

    Attributes:
        layer: a block, or "conv1".
        grey: values for plain grey, (C,).
        gratings: responses to gratings, the greatest of all phases, (C, orientations, wavelengths).
        curves: by feature, one of `FEATURES`. Of gratings the greatest response counts: for an orientation, of all
            wavelengths and phases, and for a wavelength, of all orientations and phases.
        silent: whether the channel responds to none of the stimuli, (C,).
    """

    layer: str
    cell: MiddleCell
    grey: np.ndarray = field(repr=False)
    gratings: np.ndarray = field(repr=False)
    curves: Mapping[str, Curves] = field(repr=False)
    silent: np.ndarray = field(repr=False)

    def channel(self, number: int) -> ChannelTuning:
        """Return the tuning of one channel, counted from 0 in the layer's output.

        Raises:
            UserError: if there is no such channel.
        """
        number = whole("channel", number, 0, len(self.silent) - 1)
        return ChannelTuning(
            layer=self.layer,
            channel=number,
            silent=bool(self.silent[number]),
            curves={
                feature: ChannelCurve(
                    values=tuple(curves.values.tolist()),
                    responses=tuple(curves.responses[number].tolist()),
                    preferred=_number(curves.preferred[number]),
                    selectivity=_number(curves.selectivity[number]),
                )
                for feature, curves in self.curves.items()
            },
        )


@dataclass(frozen=True)
class ChannelCurve:
    """Tuning of one channel to one feature; `preferred` and `selectivity` are None where it does not respond."""

    values: tuple[float, ...]
    responses: tuple[float, ...]
    preferred: float | None
    selectivity: float | None

    def to_dict(self) -> dict[str, Any]:
        """`values, responses, preferred, selectivity`."""
        return {
            "values": list(self.values),
            "responses": list(self.responses),
            "preferred": self.preferred,
            "selectivity": self.selectivity,
        }


@dataclass(frozen=True)
class ChannelTuning:
    """Tuning of one channel of a layer to each of `FEATURES`."""

    layer: str
    channel: int
    silent: bool
    curves: Mapping[str, ChannelCurve]

    def to_dict(self) -> dict[str, Any]:
        """`layer, channel, silent, curves`; `curves` is by feature, as `ChannelCurve`."""
        return {
            "layer": self.layer,
            "channel": self.channel,
            "silent": self.silent,
            "curves": {feature: curve.to_dict() for feature, curve in self.curves.items()},
        }


def _number(value: np.floating[Any]) -> float | None:
    return None if np.isnan(value) else float(value)


def layer_tuning(pretrained: PretrainedModel, layer: str, grid: StimulusGrid | None = None) -> LayerTuning:
    """Measure the tuning of all channels of a block, or of "conv1".

    Args:
        grid: the stimuli; by default `stimulus_grid(pretrained.input_size)`.

    Raises:
        ChoiceError: if there is no such layer.
        WeightsError: if activations overflow.
    """
    return layer_tunings(pretrained, [layer], grid)[layer]


def layer_tunings(
    pretrained: PretrainedModel, layers: Sequence[str] = tuple(BLOCKS), grid: StimulusGrid | None = None
) -> dict[str, LayerTuning]:
    """Measure the tuning of all channels of several layers; each picture runs through the network once.

    Gratings fill the picture, so that one set of them serves all layers. Discs and patches are centred on the receptive
    field of a layer's middle cell; layers with the same centre share them.

    Args and raises as `layer_tuning`.
    """
    names = tuple(sorted({choice("layer", layer, LAYERS) for layer in layers}, key=LAYERS.index))
    side = pretrained.input_size
    shown = stimulus_grid(side) if grid is None else grid
    cells = {layer: middle_cell(pretrained, layer) for layer in names}
    grey = middle_values(pretrained, [draw(Stimulus("grey"), side)], names)
    stimuli = (draw(stimulus, side) for stimulus in _gratings(shown))
    gratings = middle_values(pretrained, stimuli, names)
    centred: dict[str, np.ndarray] = {}
    for (x, y), group in groupby(names, key=lambda layer: (cells[layer].x, cells[layer].y)):
        pictures = (draw(stimulus, side, x, y) for stimulus in _centred(shown))
        centred |= middle_values(pretrained, pictures, tuple(group))
    return {
        layer: _tuning(layer, cells[layer], shown, grey[layer][0], gratings[layer], centred[layer]) for layer in names
    }


def _gratings(grid: StimulusGrid) -> Iterator[Stimulus]:
    for orientation, wavelength, phase in product(grid.orientations, grid.wavelengths, grid.phases):
        yield Stimulus("grating", wavelength, orientation, phase)


def _centred(grid: StimulusGrid) -> Iterator[Stimulus]:
    for diameter, contrast in product(grid.diameters, (1.0, -1.0)):
        yield Stimulus("disc", diameter, contrast=contrast)
    for hue in grid.hues:
        yield Stimulus("patch", grid.patch, hue=hue)


def _tuning(
    layer: str, cell: MiddleCell, grid: StimulusGrid, grey: np.ndarray, gratings: np.ndarray, centred: np.ndarray
) -> LayerTuning:
    """Return a layer's tuning from its values for grey (C,), for gratings and for centred stimuli (N, C)."""
    shape = (len(grid.orientations), len(grid.wavelengths), len(grid.phases), len(grey))
    to_gratings = np.maximum(gratings - grey, 0).reshape(shape).max(axis=2).transpose(2, 0, 1)
    to_centred = np.maximum(centred - grey, 0).T
    discs, patches = np.split(to_centred, [2 * len(grid.diameters)], axis=1)
    discs = discs.reshape(len(grey), len(grid.diameters), 2).max(axis=2)
    responses = {
        "orientation": (grid.orientations, to_gratings.max(axis=2)),
        "wavelength": (grid.wavelengths, to_gratings.max(axis=1)),
        "size": (grid.diameters, discs),
        "colour": (grid.hues, patches),
    }
    least = RESPONDS * max(float(rows.max()) for _, rows in responses.values())
    greatest = np.max([rows.max(axis=1) for _, rows in responses.values()], axis=0)
    return LayerTuning(
        layer=layer,
        cell=cell,
        grey=_read_only(grey),
        gratings=_read_only(to_gratings),
        curves={feature: _curves(feature, values, rows, least) for feature, (values, rows) in responses.items()},
        silent=_read_only(~_responds(greatest, least)),
    )


def _responds(greatest: np.ndarray, least: float) -> np.ndarray:
    return (greatest > 0) & (greatest >= least)


def _curves(feature: str, values: Sequence[float], responses: np.ndarray, least: float) -> Curves:
    places, responds = np.asarray(values), _responds(responses.max(axis=1), least)
    if feature in ("orientation", "colour"):
        selectivity = mean_vector(responses, places, 180 if feature == "orientation" else 360)
    else:
        selectivity = sparseness(responses)
    return Curves(
        values=_read_only(places),
        responses=_read_only(responses),
        preferred=_read_only(np.where(responds, places[responses.argmax(axis=1)], np.nan)),
        selectivity=_read_only(np.where(responds, selectivity, np.nan)),
    )


def _read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
