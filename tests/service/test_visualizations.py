"""Feature visualizations that all callers share, and that stay in the user's cache folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inception import load
from inception.network.inception_v1 import InceptionV1
from inception.pretrained import checkpoint
from inception.pretrained.description import UNKNOWN_PROVENANCE, Description
from inception.runtime.device import choose_device
from inception.service import image_files, visualizations
from inception.service.service import InferenceService
from inception.service.visualizations import GOALS, Growth, Visualizations
from inception.units.feature_visualization import VisualizationSettings, _Ascent, visualize
from inception.units.unit import Unit
from inception.vision.preprocessing import IMAGENET
from support.networks import lively

UNIT = Unit("3a", "3x3", 2)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GOALS, "excites", VisualizationSettings(steps=4, side=32))
    monkeypatch.setitem(GOALS, "varied", VisualizationSettings(steps=4, side=32, count=3))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two networks with other weights."""
    folder = tmp_path_factory.mktemp("weights")
    description = Description("batchnorm", ("cat", "dog"), IMAGENET, UNKNOWN_PROVENANCE)
    for seed, name in enumerate(("one", "two")):
        model = lively(InceptionV1(classes=2, input_shape=(3, 64, 64)), seed)
        checkpoint.save_checkpoint(folder / f"{name}.safetensors", model.state_dict(), description)
    return folder / "one.safetensors", folder / "two.safetensors"


def started(*weights: Path) -> Visualizations:
    """As after a start of the server."""
    return Visualizations(InferenceService(tuple(map(str, weights)), choose_device("cpu")))


def finished(images: Visualizations, model: Path, goal: str = "excites") -> Growth:
    growth = images.after(model.name, UNIT, goal, 0)
    while not growth.is_finished:
        growth = images.after(model.name, UNIT, goal, growth.shown.step)
    return growth


@pytest.mark.parametrize("goal", ["excites", "varied"])
def test_a_finished_image_is_there_after_the_next_start(
    goal: str, weights: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = weights
    images = started(one, two)
    assert images.known(one.name, UNIT, goal) is None
    made = finished(images, one, goal)
    *_, direct = visualize(load(one), UNIT, GOALS[goal])
    assert np.array_equal(made.shown.image, direct.image)
    monkeypatch.setattr(visualizations, "visualize", None)  # nothing is computed again
    again = started(one, two).known(one.name, UNIT, goal)
    assert again is not None
    assert again.is_finished
    assert np.array_equal(again.shown.image, made.shown.image)
    assert again.shown.activation == pytest.approx(made.shown.activation)
    assert again.naturalness == made.naturalness
    assert started(one, two).known(two.name, UNIT, goal) is None, "of another network"


def test_another_goal_or_another_unit_is_another_image(weights: tuple[Path, Path]) -> None:
    one, _ = weights
    finished(started(one), one)
    again = started(one)
    assert again.known(one.name, UNIT, "varied") is None
    assert again.known(one.name, Unit("3a", "3x3", 3), "excites") is None


def cut_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:200])


def without_text(file: Path) -> None:
    Image.open(file).save(file, "PNG")


def of_another_kind(file: Path) -> None:
    Image.open(file).save(file, "JPEG")


def too_large(file: Path) -> None:
    with file.open("ab") as end:
        end.write(bytes(2**20))


@pytest.mark.parametrize("damage", [cut_off, without_text, of_another_kind, too_large])
def test_a_damaged_file_is_made_again(
    damage: Callable[[Path], None], weights: tuple[Path, Path], tmp_path: Path
) -> None:
    one, _ = weights
    made = finished(started(one), one)
    (file,) = (tmp_path / "cache").rglob("*.png")
    damage(file)
    images = started(one)
    assert images.known(one.name, UNIT, "excites") is None
    assert np.array_equal(finished(images, one).shown.image, made.shown.image)


def test_a_folder_that_cannot_be_written_stops_nothing(
    weights: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    one, _ = weights
    assert finished(started(one), one).is_finished


def test_the_oldest_files_are_deleted(
    weights: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_files, "MAX_FILES", 1)
    one, _ = weights
    images = started(one)
    finished(images, one)
    (first,) = (tmp_path / "cache").rglob("*.png")
    finished(images, one, "varied")
    (second,) = (tmp_path / "cache").rglob("*.png")
    assert first != second


def test_more_visitors_than_there_is_room_for_all_come_to_an_end(
    weights: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = weights
    room = 3 * visualizations.run_bytes(load(one), UNIT)
    monkeypatch.setattr(visualizations, "RUNNING_BYTES", room)
    images = started(one)
    steps = {Unit("3a", "3x3", channel): 0 for channel in range(4)}
    for _ in range(GOALS["excites"].steps):  # in turn, so that each one's run is gone when it calls again
        for unit, step in steps.items():
            growth = images.after(one.name, unit, "excites", step)
            assert growth.is_finished or growth.shown.step > step
            steps[unit] = growth.shown.step
    assert set(steps.values()) == {GOALS["excites"].steps}


def test_a_class_has_room_for_a_channel_each() -> None:
    assert 30 * visualizations.run_bytes(load(), Unit("4e", "3x3", 0)) <= visualizations.RUNNING_BYTES


def test_an_image_that_failed_once_is_begun_again(weights: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    one, _ = weights
    images, shown = started(one), _Ascent.shown
    images.after(one.name, UNIT, "excites", 0)

    def fail(ascent: _Ascent) -> None:
        raise MemoryError

    monkeypatch.setattr(_Ascent, "shown", fail)
    with pytest.raises(MemoryError):
        images.after(one.name, UNIT, "excites", 1)
    monkeypatch.setattr(_Ascent, "shown", shown)
    *_, direct = visualize(load(one), UNIT, GOALS["excites"])
    assert np.array_equal(finished(images, one).shown.image, direct.image)


def test_an_image_whose_comparison_failed_is_compared_again_also_where_no_file_can_be_written(
    weights: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    one, _ = weights
    images, compared = started(one), visualizations.compared
    monkeypatch.setattr(visualizations, "compared", None)
    with pytest.raises(TypeError):
        finished(images, one)
    monkeypatch.setattr(visualizations, "compared", compared)
    assert finished(images, one).naturalness is not None
