"""Stimuli: areas of discs and rings, symmetries of gratings and edges, luma of patches."""

from __future__ import annotations

import numpy as np
import pytest

from inception.errors import ChoiceError, UserError
from inception.units.stimuli import GREY, KINDS, LUMA, Stimulus, draw, plain_grey


def levels(stimulus: Stimulus, side: int = 128, x: float | None = None, y: float | None = None) -> np.ndarray:
    return np.asarray(draw(stimulus, side, x, y)).astype(float)


@pytest.mark.parametrize("size", [4.0, 13.4, 60.0])
def test_discs_and_rings_have_the_right_area_and_centre(size: float) -> None:
    disc, ring = (levels(Stimulus(kind, size), 128, 50.5, 70.5)[..., 0] - GREY for kind in ("disc", "ring"))
    area = np.pi * (size / 2) ** 2
    assert disc.sum() / 127 == pytest.approx(area, rel=0.05)
    assert ring.sum() / 127 == pytest.approx(area * (1 - 0.75**2), rel=0.08)
    positions = np.arange(128) + 0.5
    for difference in (disc, ring):
        assert (difference.sum(axis=0) * positions).sum() / difference.sum() == pytest.approx(50.5, abs=0.05)
        assert (difference.sum(axis=1) * positions).sum() / difference.sum() == pytest.approx(70.5, abs=0.05)
        assert difference.min() == 0
    assert disc[70, 50] == 127
    if size > 10:
        assert ring[70, 50] == 0


def test_grating_repeats_with_its_wavelength_and_rotates() -> None:
    vertical, horizontal = (levels(Stimulus("grating", 16, orientation))[..., 0] for orientation in (0.0, 90.0))
    assert np.array_equal(vertical[:, :112], vertical[:, 16:])
    assert np.array_equal(vertical, np.broadcast_to(vertical[0], vertical.shape))
    assert np.array_equal(horizontal, vertical.T)
    assert vertical.min() < 5
    assert vertical.max() > 250
    assert vertical[0, 64] > 240, "no light stripe passes through the centre"
    assert float(vertical.mean()) == pytest.approx(GREY, abs=1)


def test_phase_shifts_a_grating() -> None:
    unshifted, quarter, half = (levels(Stimulus("grating", 16, 0, phase))[..., 0] for phase in (0, 90, 180))
    assert np.array_equal(quarter[:, 4:], unshifted[:, :-4])
    assert np.array_equal(half[:, 8:], unshifted[:, :-8])


def test_edge_separates_black_and_white_at_the_centre() -> None:
    vertical, horizontal, oblique = (
        levels(Stimulus("edge", orientation=orientation))[..., 0] for orientation in (0, 90, 30)
    )
    assert (vertical[:, :64] == 0).all()
    assert (vertical[:, 64:] == 255).all()
    assert np.array_equal(horizontal, vertical.T)
    assert np.abs(levels(Stimulus("edge", contrast=-1))[..., 0] + vertical - 255).max() == 0
    assert ((oblique > 0) & (oblique < 255)).any(axis=1).all(), "the edge is not anti-aliased"
    # Vertical, rotated by 30 degrees clockwise: white lies to the right and below.
    assert (oblique[70, 64], oblique[64, 70], oblique[58, 64], oblique[64, 58]) == (255, 255, 0, 0)


@pytest.mark.parametrize("hue", range(0, 360, 15))
def test_patch_has_the_luma_of_the_grey_around_it(hue: int) -> None:
    patch = levels(Stimulus("patch", 40, hue=hue))
    assert (patch @ LUMA) == pytest.approx(np.full((128, 128), GREY), abs=1)
    assert (patch[0, 0] == GREY).all()
    assert np.abs(patch[64, 64] - GREY).max() > 60


def test_hues_match_their_colour_names() -> None:
    red, blue, green, yellow = (levels(Stimulus("patch", 40, hue=hue))[64, 64] for hue in (0, 90, 180, 270))
    assert red.argmax() == 0
    assert blue.argmax() == 2
    assert green.argmax() == 1
    assert yellow.argmin() == 2


def test_zero_contrast_is_plain_grey() -> None:
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
def test_stimulus_out_of_range_is_reported_as_one_sentence(name: str, value: float) -> None:
    with pytest.raises(UserError) as error:
        Stimulus("disc", **{name: value})
    sentence = str(error.value)
    assert sentence.startswith(f"The stimulus is out of range: {name} is ")
    assert "please choose a number from" in sentence
    assert error.value.kind == "explain_stimulus"


def test_pictures_out_of_range_and_unknown_kinds_are_rejected() -> None:
    with pytest.raises(ChoiceError, match="kind is 'star'"):
        Stimulus("star")
    for arguments in ((4,), (9999,), (64, 70.0), (64, 32.0, -1.0)):
        with pytest.raises(UserError, match="out of range"):
            draw(Stimulus("disc"), *arguments)
