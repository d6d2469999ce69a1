"""Tuning of the stem, compared with the Fourier transform of its kernels, and of blocks, with a forward pass."""

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
from support.narrow import narrow_model

SMALL_GRID = stimulus_grid(64, orientations=2, wavelengths=2, phases=2, diameters=2, hues=2)


@pytest.fixture(scope="module")
def network() -> PretrainedModel:
    return narrow_model()


def amplitudes(network: PretrainedModel, grid: StimulusGrid) -> np.ndarray:
    """Amplitudes of the kernels' Fourier transform, (C, orientations, wavelengths)."""
    kernels = network.model.stem.conv1.conv.weight.detach().double().numpy()
    lightness = np.tensordot(kernels, 0.5 / np.array(network.preprocessing.std), (1, 0))
    positions = np.arange(7) - 3
    waves = [
        np.exp(2j * np.pi * (positions[None] * np.cos(angle) + positions[:, None] * np.sin(angle)) / wavelength)
        for angle, wavelength in product(np.deg2rad(grid.orientations), grid.wavelengths)
    ]
    sums = np.tensordot(lightness, np.array(waves), ((1, 2), (1, 2)))
    return np.abs(sums).reshape(len(kernels), len(grid.orientations), len(grid.wavelengths))


def test_stem_tuning_matches_the_fourier_transform_of_its_kernels(embedded: PretrainedModel) -> None:
    small = narrow_model()
    small.model.stem.load_state_dict(embedded.model.stem.state_dict())
    small = PretrainedModel("stem", small.model, small.preprocessing, small.labels, small.provenance)
    grid = stimulus_grid(64, orientations=12, wavelengths=5, phases=24, diameters=2, hues=2)
    tuning = layer_tuning(small, "conv1", grid)
    with torch.inference_mode():
        conv = small.model.stem.conv1.conv
        grey = conv(small.preprocessing.to_tensor(plain_grey(64)))[0, :, tuning.cell.row, tuning.cell.column].numpy()
    amplitude = amplitudes(small, grid)
    expected = np.maximum(grey[:, None, None] + amplitude, 0) - np.maximum(grey, 0)[:, None, None]
    expected = np.maximum(expected, 0)
    assert np.abs(tuning.grey - np.maximum(grey, 0)).max() < 1e-4
    responding = np.flatnonzero(tuning.gratings.max(axis=(1, 2)) > 0.05 * tuning.gratings.max())
    assert len(responding) >= 40
    for channel in responding:
        peak = np.unravel_index(tuning.gratings[channel].argmax(), (12, 5))
        best = np.unravel_index(expected[channel].argmax(), (12, 5))
        assert min((peak[0] - best[0]) % 12, (best[0] - peak[0]) % 12) <= 1
        assert abs(peak[1] - best[1]) <= 1
        # The nearest of 24 phases is at most 7.5 degrees off, which loses 0.9 % of the amplitude.
        loss = 0.01 * amplitude[channel].max() + 0.01
        assert tuning.gratings[channel][peak] == pytest.approx(expected[channel][best], abs=loss)
        assert tuning.curves["orientation"].preferred[channel] == grid.orientations[peak[0]]
        assert tuning.curves["wavelength"].preferred[channel] == grid.wavelengths[peak[1]]


def test_orientation_curve_shifts_with_the_kernels_rotation() -> None:
    rotated = narrow_model()
    across, down = np.meshgrid(np.arange(7) - 3, np.arange(7) - 3)
    for number in range(6):
        angle = np.deg2rad(30 * number)
        wave = np.cos(2 * np.pi * (across * np.cos(angle) + down * np.sin(angle)) / 6)
        kernel = wave * np.exp(-(across**2 + down**2) / 3)
        rotated.model.stem.conv1.conv.weight.data[number] = torch.from_numpy(kernel).float()
    rotated.model.stem.conv1.conv.bias.data.zero_()
    grid = stimulus_grid(64, orientations=12, wavelengths=3, phases=18, diameters=2, hues=2)
    curves = layer_tuning(rotated, "conv1", grid).curves["orientation"]
    for number in range(6):
        assert curves.preferred[number] == 30 * number
        shifted = np.roll(curves.responses[0], 2 * number)
        assert curves.responses[number] == pytest.approx(shifted, abs=0.04 * shifted.max())
    assert curves.selectivity[:6] == pytest.approx(np.full(6, curves.selectivity[0]), abs=0.02)


@pytest.mark.parametrize("layer", ["3b", "4a"])
def test_responses_match_the_plain_network(layer: str, network: PretrainedModel) -> None:
    tuning = layer_tunings(network, [layer, "3a"], SMALL_GRID)[layer]
    cell = middle_cell(network, layer)

    @torch.inference_mode()
    def response(stimulus: Stimulus, *centre: float) -> np.ndarray:
        pictures = [draw(shown, 64, *centre) for shown in (stimulus, Stimulus("grey"))]
        maps = network.model.trace(torch.cat([*map(network.preprocessing.to_tensor, pictures)]))
        to_stimulus, to_grey = maps.stages[f"inception_{layer}"][:, :, cell.row, cell.column].double().numpy()
        return np.maximum(to_stimulus - to_grey, 0)

    def check(curve: str, number: int, stimuli: list[Stimulus], *centre: float) -> None:
        expected = np.max([response(stimulus, *centre) for stimulus in stimuli], axis=0)
        assert tuning.curves[curve].responses[:, number] == pytest.approx(expected, abs=1e-4)

    parameters = product(SMALL_GRID.orientations, SMALL_GRID.wavelengths, SMALL_GRID.phases)
    gratings = [Stimulus("grating", wavelength, orientation, phase) for orientation, wavelength, phase in parameters]
    for number in (0, 1):
        check("orientation", number, [one for one in gratings if one.orientation == SMALL_GRID.orientations[number]])
        check("wavelength", number, [one for one in gratings if one.size == SMALL_GRID.wavelengths[number]])
        discs = [Stimulus("disc", SMALL_GRID.diameters[number], contrast=contrast) for contrast in (1, -1)]
        check("size", number, discs, cell.x, cell.y)
        check("colour", number, [Stimulus("patch", SMALL_GRID.patch, hue=SMALL_GRID.hues[number])], cell.x, cell.y)


def test_a_channel_that_never_responds_is_silent() -> None:
    quiet = narrow_model()
    unit = quiet.model.block("3a")["1x1"]
    unit.conv.weight.data[2] = 0
    unit.bn.bias.data[2] = -5
    tuning = layer_tuning(quiet, "3a", SMALL_GRID)
    assert tuning.silent[2]
    assert not tuning.silent.all()
    silent = tuning.channel(2).to_dict()
    assert silent["silent"] is True
    assert list(silent["curves"]) == list(FEATURES)
    for curve in silent["curves"].values():
        assert (curve["preferred"], curve["selectivity"]) == (None, None)
        assert set(curve["responses"]) == {0.0}
    responding = tuning.channel(int(np.flatnonzero(~tuning.silent)[0])).curves["orientation"]
    assert responding.preferred in responding.values
    assert 0 <= responding.selectivity <= 1


def test_grid_counts_its_pictures_and_checks_its_arguments() -> None:
    grid = stimulus_grid(224)
    assert grid.orientations == tuple(range(0, 180, 15))
    assert (grid.wavelengths[0], grid.wavelengths[-1]) == (4, 67.2)
    assert len(grid) == 12 * 6 * 4 + 2 * 8 + 12
    with pytest.raises(UserError, match="phases is 1; it must be a whole number from 2 to 360"):
        stimulus_grid(224, phases=1)


def test_unknown_layers_and_channels_are_rejected(network: PretrainedModel) -> None:
    with pytest.raises(ChoiceError, match="layer is '3c'; it must be one of: conv1, 3a"):
        layer_tuning(network, "3c", SMALL_GRID)
    with pytest.raises(UserError, match="channel is 28; it must be a whole number from 0 to 27"):
        layer_tuning(network, "3a", SMALL_GRID).channel(28)
