"""Feature visualizations, shared by all callers and stored in the user's cache folder."""

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
from inception.service.visualizations import GOALS, VisualizationProgress, Visualizations
from inception.units.feature_visualization import VisualizationSettings, _Ascent, visualize
from inception.units.unit import Unit
from inception.vision.preprocessing import IMAGENET
from support.networks import randomise

UNIT = Unit("3a", "3x3", 2)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GOALS, "excites", VisualizationSettings(steps=4, side=32))
    monkeypatch.setitem(GOALS, "varied", VisualizationSettings(steps=4, side=32, count=3))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two networks with different weights."""
    folder = tmp_path_factory.mktemp("weights")
    description = Description("batchnorm", ("cat", "dog"), IMAGENET, UNKNOWN_PROVENANCE)
    for seed, name in enumerate(("one", "two")):
        model = randomise(InceptionV1(classes=2, input_shape=(3, 64, 64)), seed)
        checkpoint.save_checkpoint(folder / f"{name}.safetensors", model.state_dict(), description)
    return folder / "one.safetensors", folder / "two.safetensors"


def started(*weights: Path) -> Visualizations:
    """Return the visualizations of a server that has just started."""
    return Visualizations(InferenceService(tuple(map(str, weights)), choose_device("cpu")))


def finished(images: Visualizations, model: Path, goal: str = "excites") -> VisualizationProgress:
    progress = images.after(model.name, UNIT, goal, 0)
    while not progress.is_finished:
        progress = images.after(model.name, UNIT, goal, progress.shown.step)
    return progress


@pytest.mark.parametrize("goal", ["excites", "varied"])
def test_a_finished_image_is_restored_after_a_restart(
    goal: str, weights: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = weights
    images = started(first, second)
    assert images.known(first.name, UNIT, goal) is None
    original = finished(images, first, goal)
    *_, direct = visualize(load(first), UNIT, GOALS[goal])
    assert np.array_equal(original.shown.image, direct.image)
    monkeypatch.setattr(visualizations, "visualize", None)  # nothing is computed again
    restored = started(first, second).known(first.name, UNIT, goal)
    assert restored is not None
    assert restored.is_finished
    assert np.array_equal(restored.shown.image, original.shown.image)
    assert restored.shown.activation == pytest.approx(original.shown.activation)
    assert restored.naturalness == original.naturalness
    assert started(first, second).known(second.name, UNIT, goal) is None, "the image is of another network"


def test_another_goal_or_unit_has_another_image(weights: tuple[Path, Path]) -> None:
    model, _ = weights
    finished(started(model), model)
    restarted = started(model)
    assert restarted.known(model.name, UNIT, "varied") is None
    assert restarted.known(model.name, Unit("3a", "3x3", 3), "excites") is None


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:200])


def remove_text(file: Path) -> None:
    Image.open(file).save(file, "PNG")


def convert_to_jpeg(file: Path) -> None:
    Image.open(file).save(file, "JPEG")


def enlarge(file: Path) -> None:
    with file.open("ab") as end:
        end.write(bytes(2**20))


@pytest.mark.parametrize("damage", [truncate, remove_text, convert_to_jpeg, enlarge])
def test_a_damaged_file_is_recomputed(
    damage: Callable[[Path], None], weights: tuple[Path, Path], tmp_path: Path
) -> None:
    model, _ = weights
    original = finished(started(model), model)
    (file,) = (tmp_path / "cache").rglob("*.png")
    damage(file)
    images = started(model)
    assert images.known(model.name, UNIT, "excites") is None
    assert np.array_equal(finished(images, model).shown.image, original.shown.image)


@pytest.fixture
def unwritable_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))


@pytest.mark.usefixtures("unwritable_cache")
def test_an_unwritable_cache_folder_is_no_error(weights: tuple[Path, Path]) -> None:
    model, _ = weights
    assert finished(started(model), model).is_finished


def test_the_oldest_files_are_deleted(
    weights: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_files, "MAX_FILES", 1)
    model, _ = weights
    images = started(model)
    finished(images, model)
    (first,) = (tmp_path / "cache").rglob("*.png")
    finished(images, model, "varied")
    (second,) = (tmp_path / "cache").rglob("*.png")
    assert first != second


def test_all_visitors_finish_if_not_all_runs_fit_in_memory(
    weights: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = weights
    limit = 3 * visualizations.run_bytes(load(model), UNIT)
    monkeypatch.setattr(visualizations, "RUNNING_BYTES", limit)
    images = started(model)
    steps = {Unit("3a", "3x3", channel): 0 for channel in range(4)}
    for _ in range(GOALS["excites"].steps):  # in turn, so that each run has been evicted when its visitor calls again
        for unit, step in steps.items():
            progress = images.after(model.name, unit, "excites", step)
            assert progress.is_finished or progress.shown.step > step
            steps[unit] = progress.shown.step
    assert set(steps.values()) == {GOALS["excites"].steps}


def test_thirty_visitors_can_each_run_a_channel() -> None:
    assert 30 * visualizations.run_bytes(load(), Unit("4e", "3x3", 0)) <= visualizations.RUNNING_BYTES


def test_a_failed_image_is_restarted(weights: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = weights
    images, shown = started(model), _Ascent.shown
    images.after(model.name, UNIT, "excites", 0)

    def fail(ascent: _Ascent) -> None:
        raise MemoryError

    monkeypatch.setattr(_Ascent, "shown", fail)
    with pytest.raises(MemoryError):
        images.after(model.name, UNIT, "excites", 1)
    monkeypatch.setattr(_Ascent, "shown", shown)
    *_, direct = visualize(load(model), UNIT, GOALS["excites"])
    assert np.array_equal(finished(images, model).shown.image, direct.image)


@pytest.mark.usefixtures("unwritable_cache")
def test_a_failed_comparison_is_repeated_even_without_a_writable_cache(
    weights: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = weights
    images, compared = started(model), visualizations.compared
    monkeypatch.setattr(visualizations, "compared", None)
    with pytest.raises(TypeError):
        finished(images, model)
    monkeypatch.setattr(visualizations, "compared", compared)
    assert finished(images, model).naturalness is not None
