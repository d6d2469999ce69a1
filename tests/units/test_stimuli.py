"""Stimuli: discs and rings by their areas, gratings and edges by their symmetries, patches by their luma."""

from __future__ import annotations

import numpy as np
import pytest

from inception.errors import ChoiceError, UserError
from inception.units.stimuli import GREY, KINDS, LUMA, Stimulus, draw, plain_grey


def levels(stimulus: Stimulus, side: int = 128, x: float | None = None, y: float | None = None) -> np.ndarray:
    return np.asarray(draw(stimulus, side, x, y)).astype(float)


@pytest.mark.parametrize("size", [4.0, 13.4, 60.0])
def test_discs_and_rings_have_their_areas_and_their_centre(size: float) -> None:
    disc, ring = (levels(Stimulus(kind, size), 128, 50.5, 70.5)[..., 0] - GREY for kind in ("disc", "ring"))
    area = np.pi * (size / 2) ** 2
    assert disc.sum() / 127 == pytest.approx(area, rel=0.05)
    assert ring.sum() / 127 == pytest.approx(area * (1 - 0.75**2), rel=0.08)
    places = np.arange(128) + 0.5
    for above in (disc, ring):
        assert (above.sum(axis=0) * places).sum() / above.sum() == pytest.approx(50.5, abs=0.05)
        assert (above.sum(axis=1) * places).sum() / above.sum() == pytest.approx(70.5, abs=0.05)
        assert above.min() == 0
    assert disc[70, 50] == 127
    if size > 10:
        assert ring[70, 50] == 0


def test_a_grating_repeats_with_its_wavelength_and_turns() -> None:
    upright, lying = (levels(Stimulus("grating", 16, turn))[..., 0] for turn in (0.0, 90.0))
    assert np.array_equal(upright[:, :112], upright[:, 16:])
    assert np.array_equal(upright, np.broadcast_to(upright[0], upright.shape))
    assert np.array_equal(lying, upright.T)
    assert upright.min() < 5
    assert upright.max() > 250
    assert upright[0, 64] > 240, "a light stripe passes through the centre"
    assert float(upright.mean()) == pytest.approx(GREY, abs=1)


def test_the_phase_moves_a_grating() -> None:
    whole, quarter, half = (levels(Stimulus("grating", 16, 0, phase))[..., 0] for phase in (0, 90, 180))
    assert np.array_equal(quarter[:, 4:], whole[:, :-4])
    assert np.array_equal(half[:, 8:], whole[:, :-8])


def test_an_edge_parts_black_from_white_through_the_centre() -> None:
    upright, lying, oblique = (levels(Stimulus("edge", orientation=turn))[..., 0] for turn in (0, 90, 30))
    assert (upright[:, :64] == 0).all()
    assert (upright[:, 64:] == 255).all()
    assert np.array_equal(lying, upright.T)
    assert np.abs(levels(Stimulus("edge", contrast=-1))[..., 0] + upright - 255).max() == 0
    assert ((oblique > 0) & (oblique < 255)).any(axis=1).all(), "its border is anti-aliased"
    # Vertical, turned by 30 degrees clockwise: white lies to the right and below.
    assert (oblique[70, 64], oblique[64, 70], oblique[58, 64], oblique[64, 58]) == (255, 255, 0, 0)


@pytest.mark.parametrize("hue", range(0, 360, 15))
def test_a_patch_is_as_light_as_the_grey_around_it(hue: int) -> None:
    patch = levels(Stimulus("patch", 40, hue=hue))
    assert (patch @ LUMA) == pytest.approx(np.full((128, 128), GREY), abs=1)
    assert (patch[0, 0] == GREY).all()
    assert np.abs(patch[64, 64] - GREY).max() > 60


def test_the_hues_have_their_names() -> None:
    red, blue, green, yellow = (levels(Stimulus("patch", 40, hue=hue))[64, 64] for hue in (0, 90, 180, 270))
    assert red.argmax() == 0
    assert blue.argmax() == 2
    assert green.argmax() == 1
    assert yellow.argmin() == 2


def test_no_contrast_is_plain_grey() -> None:
    for kind in KINDS:
        assert (levels(Stimulus(kind, contrast=0)) == np.asarray(plain_grey(128))).all()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("size", 1.9),
        ("size", float("nan")),
        ("size", 1e6),
        ("orientation", -1),
        ("phase", 361),
        ("hue", float("inf")),
        ("contrast", 1.1),
        ("contrast", "much"),
        ("size", True),
    ],
)
def test_a_stimulus_out_of_range_is_one_sentence(name: str, value: float) -> None:
    with pytest.raises(UserError) as refused:
        Stimulus("disc", **{name: value})
    sentence = str(refused.value)
    assert sentence.startswith(f"The stimulus is out of range: {name} is ")
    assert "please choose a number from" in sentence
    assert refused.value.kind == "explain_stimulus"


def test_pictures_out_of_range_and_unknown_kinds_are_refused() -> None:
    with pytest.raises(ChoiceError, match="kind is 'star'"):
        Stimulus("star")
    for arguments in ((4,), (9999,), (64, 70.0), (64, 32.0, -1.0)):
        with pytest.raises(UserError, match="out of range"):
            draw(Stimulus("disc"), *arguments)
