"""Tuning: of the stem against the Fourier transform of its kernels, of blocks against a plain forward pass."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from inception.errors import ChoiceError, UserError
from inception.pretrained.pretrained import PretrainedModel
from inception.units.middle_cell import middle_cell
from inception.units.stimuli import Stimulus, draw, plain_grey
from inception.units.tuning import (
    FEATURES,
    StimulusGrid,
    layer_tuning,
    layer_tunings,
    stimulus_grid,
)
from support.narrow import narrow

FEW = stimulus_grid(64, orientations=2, wavelengths=2, phases=2, diameters=2, hues=2)


@pytest.fixture(scope="module")
def network() -> PretrainedModel:
    return narrow()


def amplitudes(network: PretrainedModel, grid: StimulusGrid) -> np.ndarray:
    """Of the kernels' Fourier transform at each orientation and wavelength, (C, orientations, wavelengths)."""
    kernels = network.model.stem.conv1.conv.weight.detach().double().numpy()
    lightness = np.tensordot(kernels, 0.5 / np.array(network.preprocessing.std), (1, 0))
    places = np.arange(7) - 3
    waves = [
        np.exp(2j * np.pi * (places[None] * np.cos(turn) + places[:, None] * np.sin(turn)) / wavelength)
        for turn, wavelength in product(np.deg2rad(grid.orientations), grid.wavelengths)
    ]
    sums = np.tensordot(lightness, np.array(waves), ((1, 2), (1, 2)))
    return np.abs(sums).reshape(len(kernels), len(grid.orientations), len(grid.wavelengths))


def test_the_stem_prefers_what_the_fourier_transform_of_its_kernels_prefers(embedded: PretrainedModel) -> None:
    small = narrow()
    small.model.stem.load_state_dict(embedded.model.stem.state_dict())
    small = PretrainedModel("stem", small.model, small.preprocessing, small.labels, small.provenance)
    grid = stimulus_grid(64, orientations=12, wavelengths=5, phases=24, diameters=2, hues=2)
    told = layer_tuning(small, "conv1", grid)
    with torch.inference_mode():
        conv = small.model.stem.conv1.conv
        grey = conv(small.preprocessing.to_tensor(plain_grey(64)))[0, :, told.cell.row, told.cell.column].numpy()
    known = amplitudes(small, grid)
    wanted = np.maximum(grey[:, None, None] + known, 0) - np.maximum(grey, 0)[:, None, None]
    wanted = np.maximum(wanted, 0)
    assert np.abs(told.grey - np.maximum(grey, 0)).max() < 1e-4
    responding = np.flatnonzero(told.gratings.max(axis=(1, 2)) > 0.05 * told.gratings.max())
    assert len(responding) >= 40
    for channel in responding:
        peak = np.unravel_index(told.gratings[channel].argmax(), (12, 5))
        best = np.unravel_index(wanted[channel].argmax(), (12, 5))
        assert min((peak[0] - best[0]) % 12, (best[0] - peak[0]) % 12) <= 1
        assert abs(peak[1] - best[1]) <= 1
        # The nearest of 24 phases is at most 7.5 degrees off, which costs 0.9 % of the amplitude.
        loss = 0.01 * known[channel].max() + 0.01
        assert told.gratings[channel][peak] == pytest.approx(wanted[channel][best], abs=loss)
        assert told.curves["orientation"].preferred[channel] == grid.orientations[peak[0]]
        assert told.curves["wavelength"].preferred[channel] == grid.wavelengths[peak[1]]


def test_a_curve_turns_with_the_kernel() -> None:
    turned = narrow()
    across, down = np.meshgrid(np.arange(7) - 3, np.arange(7) - 3)
    for number in range(6):
        angle = np.deg2rad(30 * number)
        wave = np.cos(2 * np.pi * (across * np.cos(angle) + down * np.sin(angle)) / 6)
        kernel = wave * np.exp(-(across**2 + down**2) / 3)
        turned.model.stem.conv1.conv.weight.data[number] = torch.from_numpy(kernel).float()
    turned.model.stem.conv1.conv.bias.data.zero_()
    grid = stimulus_grid(64, orientations=12, wavelengths=3, phases=18, diameters=2, hues=2)
    curves = layer_tuning(turned, "conv1", grid).curves["orientation"]
    for number in range(6):
        assert curves.preferred[number] == 30 * number
        shifted = np.roll(curves.responses[0], 2 * number)
        assert curves.responses[number] == pytest.approx(shifted, abs=0.04 * shifted.max())
    assert curves.selectivity[:6] == pytest.approx(np.full(6, curves.selectivity[0]), abs=0.02)


@pytest.mark.parametrize("layer", ["3b", "4a"])
def test_the_responses_are_those_of_the_plain_network(layer: str, network: PretrainedModel) -> None:
    told = layer_tunings(network, [layer, "3a"], FEW)[layer]
    cell = middle_cell(network, layer)

    @torch.inference_mode()
    def response(stimulus: Stimulus, *centre: float) -> np.ndarray:
        pictures = [draw(one, 64, *centre) for one in (stimulus, Stimulus("grey"))]
        maps = network.model.trace(torch.cat([*map(network.preprocessing.to_tensor, pictures)]))
        shown, grey = maps.stages[f"inception_{layer}"][:, :, cell.row, cell.column].double().numpy()
        return np.maximum(shown - grey, 0)

    def same(curve: str, number: int, stimuli: list[Stimulus], *centre: float) -> None:
        wanted = np.max([response(stimulus, *centre) for stimulus in stimuli], axis=0)
        assert told.curves[curve].responses[:, number] == pytest.approx(wanted, abs=1e-4)

    gratings = product(FEW.orientations, FEW.wavelengths, FEW.phases)
    every = [Stimulus("grating", wavelength, turn, phase) for turn, wavelength, phase in gratings]
    for number in (0, 1):
        same("orientation", number, [one for one in every if one.orientation == FEW.orientations[number]])
        same("wavelength", number, [one for one in every if one.size == FEW.wavelengths[number]])
        discs = [Stimulus("disc", FEW.diameters[number], contrast=contrast) for contrast in (1, -1)]
        same("size", number, discs, cell.x, cell.y)
        same("colour", number, [Stimulus("patch", FEW.patch, hue=FEW.hues[number])], cell.x, cell.y)


def test_a_channel_that_never_responds_is_silent() -> None:
    quiet = narrow()
    unit = quiet.model.block("3a")["1x1"]
    unit.conv.weight.data[2] = 0
    unit.bn.bias.data[2] = -5
    told = layer_tuning(quiet, "3a", FEW)
    assert told.silent[2]
    assert not told.silent.all()
    silent = told.channel(2).to_dict()
    assert silent["silent"] is True
    assert list(silent["curves"]) == list(FEATURES)
    for curve in silent["curves"].values():
        assert (curve["preferred"], curve["selectivity"]) == (None, None)
        assert set(curve["responses"]) == {0.0}
    heard = told.channel(int(np.flatnonzero(~told.silent)[0])).curves["orientation"]
    assert heard.preferred in heard.values
    assert 0 <= heard.selectivity <= 1


def test_the_grid_counts_its_pictures_and_checks_its_numbers() -> None:
    grid = stimulus_grid(224)
    assert grid.orientations == tuple(range(0, 180, 15))
    assert (grid.wavelengths[0], grid.wavelengths[-1]) == (4, 67.2)
    assert len(grid) == 12 * 6 * 4 + 2 * 8 + 12
    with pytest.raises(UserError, match="phases is 1; it must be a whole number from 2 to 360"):
        stimulus_grid(224, phases=1)


def test_unknown_layers_and_channels_are_refused(network: PretrainedModel) -> None:
    with pytest.raises(ChoiceError, match="layer is '3c'; it must be one of: conv1, 3a"):
        layer_tuning(network, "3c", FEW)
    with pytest.raises(UserError, match="channel is 28; it must be a whole number from 0 to 27"):
        layer_tuning(network, "3a", FEW).channel(28)
