"""Atlas: places and classes compared with brute force, crops compared by pixels, and damaged files."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from inception.errors import PhotoError, UserError
from inception.explain.receptive_field import clipped_square
from inception.network.anatomy import receptive_field
from inception.network.blocks import BLOCKS, BRANCHES
from inception.pretrained.pretrained import PretrainedModel
from inception.units.atlas import EMBEDDED_ATLAS, read_atlas, weights_digest
from inception.units.atlas_build import AtlasOptions, build_atlas
from inception.units.atlas_places import NOWHERE, PLACES, BlockSurvey, class_areas
from inception.units.feature_visualization import VisualizationSettings
from inception.units.tuning import layer_tuning
from support.paths import EXAMPLES

UNREADABLE = 5
OPTIONS = AtlasOptions(blocks=("3a",), channels=3, image_settings=VisualizationSettings(steps=3, side=48))


@dataclass(frozen=True)
class Pieces:
    """Crops of the example photos, one of them unreadable."""

    classes: tuple[str, ...] = ("left", "right")
    count: int = 16

    def __len__(self) -> int:
        return self.count

    @cached_property
    def targets(self) -> Sequence[int]:
        return [number % len(self.classes) for number in range(self.count)]

    def name(self, index: int) -> str:
        return f"piece {index}"

    def photo(self, index: int) -> Image.Image:
        if index == UNREADABLE:
            raise PhotoError("photo_damaged", "It is damaged.")
        files = sorted(EXAMPLES.glob("*.jpg"))
        with Image.open(files[index % len(files)]) as photo:
            left = 120 * (index % 2) + 3 * index
            return photo.convert("RGB").crop((left, index, left + 180, index + 180))


def area_by_pairs(truth: Sequence[bool], values: Sequence[float]) -> float:
    """Area under the ROC curve: the share of pairs of a photo of the class and another that are ranked correctly."""
    inside, outside = (
        [value for value, is_inside in zip(values, truth, strict=True) if is_inside == kind] for kind in (1, 0)
    )
    return float(np.mean([(a > b) + (a == b) / 2 for a in inside for b in outside]))


@pytest.fixture(scope="module")
def photos() -> Pieces:
    return Pieces()


@pytest.fixture(scope="module")
def folder(photos: Pieces, embedded: PretrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("atlas")
    assert build_atlas(embedded, photos, "pieces", folder, OPTIONS) == ("piece 5",)
    return folder


@pytest.fixture(scope="module")
def maps(photos: Pieces, embedded: PretrainedModel) -> dict[int, np.ndarray]:
    """The output (C, H, W) of block 3a for each photo, by the plain network."""
    outputs = {}
    for number in set(range(len(photos))) - {UNREADABLE}:
        x = embedded.preprocessing.to_tensor(embedded.preprocessing.apply(photos.photo(number)))
        with torch.inference_mode():
            outputs[number] = embedded.model.trace(x).stages["inception_3a"][0].numpy()
    return outputs


def test_strongest_places_match_brute_force(
    folder: Path, maps: dict[int, np.ndarray], embedded: PretrainedModel
) -> None:
    for branch, part in embedded.model.block("3a").slices.items():
        records = read_atlas(folder, embedded).branch("3a", branch).channels
        means = np.mean([values[part].mean(axis=(1, 2)) for values in maps.values()], axis=0)
        assert set(records) == set(np.argsort(-means)[:3].tolist())
        for channel, record in records.items():
            channel_maps = {number: values[part][channel] for number, values in maps.items()}
            order = sorted(channel_maps, key=lambda number: -channel_maps[number].max())[:PLACES]
            assert [place.photo for place in record.strongest] == order
            for place in record.strongest:
                assert (
                    channel_maps[place.photo].argmax() == place.row * channel_maps[place.photo].shape[1] + place.column
                )
            for place in (*record.strongest, *record.random):
                assert place.value == pytest.approx(float(channel_maps[place.photo][place.row, place.column]), abs=1e-4)
            assert record.mean == pytest.approx(float(means[channel]), rel=1e-4)
            assert record.silent == np.mean([values.max() <= 0 for values in channel_maps.values()])
            assert len({place.photo for place in record.random}) == PLACES


def test_class_areas_match_counting_all_pairs(
    folder: Path, photos: Pieces, maps: dict[int, np.ndarray], embedded: PretrainedModel
) -> None:
    part = embedded.model.block("3a").slices["3x3"]
    for channel, record in read_atlas(folder).branch("3a", "3x3").channels.items():
        areas = {row.label: row.area for row in record.classes}
        for target, label in enumerate(photos.classes):
            truth = [photos.targets[number] == target for number in maps]
            maxima = [output[part][channel].max() for output in maps.values()]
            assert areas[label] == pytest.approx(area_by_pairs(truth, maxima), abs=1e-6)
        assert [row.area for row in record.classes] == sorted(areas.values(), reverse=True)


def test_ties_count_half() -> None:
    maxima = np.array([[0.0, 3.0], [0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [2.0, 0.0]])
    targets = np.array([0, 0, 1, 1, 2])
    areas = class_areas(maxima, targets, 4)
    for channel in range(2):
        for target in range(3):
            expected = area_by_pairs(targets == target, maxima[:, channel])
            assert areas[channel, target] == pytest.approx(expected)
    assert np.isnan(areas[:, 3]).all()


def test_survey_does_not_depend_on_the_batch_size() -> None:
    maps = torch.randn(40, 6, 3, 4, generator=torch.Generator().manual_seed(0)).relu()
    surveys = [BlockSurvey(6, seed=0, keep_maxima=True) for _ in range(2)]
    surveys[0].add(maps, list(range(40)))
    for start in range(0, 40, 7):
        surveys[1].add(maps[start : start + 7], list(range(start, min(start + 7, 40))))
    at_once, in_batches = (survey.result() for survey in surveys)
    for kind in ("strongest", "random"):
        for attribute in ("photos", "cells", "values"):
            assert torch.equal(
                getattr(getattr(at_once, kind), attribute), getattr(getattr(in_batches, kind), attribute)
            )
    assert torch.equal(at_once.maxima, in_batches.maxima)
    few = BlockSurvey(6, seed=0, keep_maxima=False)
    few.add(maps[:4], [3, 5, 7, 9])
    assert few.result().strongest.photos[:, 4:].eq(NOWHERE).all()
    assert few.result().random.photos[:, :4].tolist() == [[3, 5, 7, 9]] * 6


def test_random_places_are_uniform_and_depend_on_the_seed() -> None:
    maps = torch.zeros(60, 400, 2, 3)
    drawn = []
    for seed in (1, 1, 2):
        survey = BlockSurvey(400, seed, keep_maxima=False)
        survey.add(maps, list(range(60)))
        drawn.append(survey.result().random)
    assert torch.equal(drawn[0].photos, drawn[1].photos)
    assert torch.equal(drawn[0].cells, drawn[1].cells)
    assert not torch.equal(drawn[0].photos, drawn[2].photos)
    expected = 400 * PLACES / 60
    counts = torch.bincount(drawn[0].photos.flatten(), minlength=60)
    assert 0.4 * expected < int(counts.min()) <= int(counts.max()) < 1.6 * expected
    cells = torch.bincount(drawn[0].cells.flatten(), minlength=6)
    assert float(cells.max() / cells.min()) < 1.3


def test_crops_show_the_receptive_field_within_the_photo(
    folder: Path, photos: Pieces, embedded: PretrainedModel
) -> None:
    for branch in ("1x1", "5x5"):
        branch_record = read_atlas(folder).branch("3a", branch)
        field = receptive_field(embedded.model, "3a", branch)
        channel, record = next(iter(branch_record.channels.items()))
        sheet = np.asarray(decoded(branch_record.places(channel))).astype(float)
        assert sheet.shape == (2 * field.size, 9 * field.size, 3)
        for row, places in enumerate((record.strongest, record.random)):
            for column, place in enumerate(places):
                side = embedded.input_size
                square = clipped_square(field, place.row, place.column, side, side)
                photo = np.asarray(embedded.preprocessing.apply(photos.photo(place.photo))).astype(float)
                crop = photo[square.top : square.bottom, square.left : square.right]
                tile = sheet[row * field.size :, column * field.size :][: crop.shape[0], : crop.shape[1]]
                assert np.abs(tile - crop).mean() < 12, "differs by more than WebP's losses"


@pytest.mark.parametrize(
    ("row", "column", "box"), [(5, 5, (19, 19, 62, 62)), (0, 19, (131, 0, 160, 22)), (19, 0, (0, 131, 22, 160))]
)
def test_square_of_a_place_at_the_border_is_clipped(
    row: int, column: int, box: tuple[int, ...], embedded: PretrainedModel
) -> None:
    square = clipped_square(receptive_field(embedded.model, "3a", "3x3"), row, column, 160, 160)
    assert (square.left, square.top, square.right, square.bottom) == box


def decoded(webp: bytes | None) -> Image.Image:
    assert webp is not None
    return Image.open(io.BytesIO(webp)).convert("RGB")


def test_file_that_would_take_too_much_memory_is_rejected(
    folder: Path, embedded: PretrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    branch = read_atlas(folder, embedded).branch("3a", "1x1")
    monkeypatch.setattr("inception.units.atlas.MAX_BYTES", 100)
    with pytest.raises(UserError, match=r"'3a-1x1.zip' is missing or cut off"):
        branch.image(min(branch.channels))
    with pytest.raises(UserError, match=r"'3a-1x1.zip' is missing or cut off"):
        read_atlas(folder, embedded).branch("3a", "1x1")


def test_every_channel_has_its_image_and_tuning(folder: Path, embedded: PretrainedModel) -> None:
    atlas = read_atlas(folder, embedded)
    tuned = layer_tuning(embedded, "3a")
    assert (atlas.network.name, atlas.data.name, atlas.data.photos) == ("tiny-imagenet", "pieces", 16)
    for block, branch in atlas.branches:
        branch_record = atlas.branch(block, branch)
        for channel, record in branch_record.channels.items():
            side = min(receptive_field(embedded.model, block, branch).size, 48)
            assert decoded(branch_record.image(channel)).size == (side, side)
            assert record.activation is not None
            assert record.tuning is not None
            expected = tuned.channel(embedded.model.block(block).slices[branch].start + channel)
            for feature, curve in expected.curves.items():
                assert record.tuning[feature]["values"] == list(curve.values)
                assert record.tuning[feature]["responses"] == pytest.approx(curve.responses, rel=1e-3)
    assert branch_record.image(10**6) is None
    with pytest.raises(UserError, match="block is '4c'; it must be one of: 3a"):
        atlas.branch("4c", "3x3")


def test_interrupted_build_resumes_where_it_stopped(
    folder: Path, photos: Pieces, embedded: PretrainedModel, tmp_path: Path
) -> None:
    class StopError(Exception):
        pass

    passes = []

    def stop_in_second_image(batches: Iterator[int]) -> Iterator[int]:
        passes.append(0)
        for number in batches:
            if len(passes) == 2 and number == 1:
                raise StopError
            passes[-1] += 1
            yield number

    with pytest.raises(StopError):
        build_atlas(embedded, photos, "pieces", tmp_path, OPTIONS, stop_in_second_image)
    finished = (tmp_path / "3a-1x1.zip").stat().st_mtime_ns
    counted: list[int] = []

    def count(batches: Iterator[int]) -> Iterator[int]:
        counted.append(len(batches))
        return iter(batches)

    build_atlas(embedded, photos, "pieces", tmp_path, OPTIONS, count)
    assert counted == [3], "expected no pass over the photos, and the images of three branches"
    assert (tmp_path / "3a-1x1.zip").stat().st_mtime_ns == finished
    for file in folder.iterdir():
        assert (tmp_path / file.name).read_bytes() == file.read_bytes()
    complete = (tmp_path / "3a-pool.zip").read_bytes()
    (tmp_path / "3a-pool.zip").write_bytes(complete[:-100])
    with pytest.raises(UserError, match=r"'3a-pool.zip' is missing or cut off; please finish the atlas"):
        read_atlas(tmp_path).branch("3a", "pool")
    build_atlas(embedded, photos, "pieces", tmp_path, OPTIONS, count)
    assert counted == [3, 1, 1], "expected one pass over the photos, and the image of one branch"
    assert (tmp_path / "3a-pool.zip").read_bytes() == complete


def test_atlas_can_be_built_without_crops_and_images(embedded: PretrainedModel, tmp_path: Path) -> None:
    photos = Pieces(classes=("unknown",), count=4)
    build_atlas(embedded, photos, "pieces", tmp_path, replace(OPTIONS, crops=False, images=False))
    branch = read_atlas(tmp_path).branch("3a", "5x5")
    assert [(branch.image(channel), branch.places(channel)) for channel in branch.channels] == [(None, None)] * 3
    record = next(iter(branch.channels.values()))
    assert (record.classes, len(record.strongest), len(record.random)) == ((), 4, 4)


def test_missing_damaged_and_foreign_atlases_are_reported_as_one_sentence(
    folder: Path, photos: Pieces, embedded: PretrainedModel, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"^There is no atlas in '.*'; please make one with the command atlas, or name"):
        read_atlas(tmp_path)
    other = replace(embedded, model=type(embedded.model)(classes=200))
    assert weights_digest(other) != weights_digest(embedded)
    with pytest.raises(UserError, match=r"for other weights than those of 'tiny-imagenet' here; please make it again"):
        read_atlas(folder, other)
    with pytest.raises(
        UserError, match=r"holds an atlas with other --seed; please give the same, name another folder, or remove it"
    ):
        build_atlas(embedded, photos, "pieces", folder, replace(OPTIONS, seed=1))
    for text in ("", "[]", '{"format": 2}', (folder / "atlas.json").read_text()[:200]):
        (tmp_path / "atlas.json").write_text(text)
        with pytest.raises(UserError, match=r"'atlas.json' is missing or cut off"):
            read_atlas(tmp_path)
    (tmp_path / "atlas.json").write_text((folder / "atlas.json").read_text())
    with pytest.raises(UserError, match=r"'3a-1x1.zip' is missing or cut off"):
        read_atlas(tmp_path)
    description = json.loads((folder / "atlas.json").read_text())
    assert description["network"]["digest"] == weights_digest(embedded)


def test_photos_that_are_all_unreadable_are_reported_as_one_sentence(embedded: PretrainedModel, tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Broken(Pieces):
        def photo(self, index: int) -> Image.Image:
            raise PhotoError("photo_damaged", "It is damaged.")

    with pytest.raises(UserError, match=r"^None of 3 photos can be read; please check the files\.$"):
        build_atlas(embedded, Broken(count=3), "broken", tmp_path, OPTIONS)


def test_embedded_atlas_matches_the_embedded_weights(embedded: PretrainedModel) -> None:
    atlas = read_atlas(EMBEDDED_ATLAS, embedded)
    assert atlas.branches == tuple((block, branch) for block in BLOCKS for branch in BRANCHES)
    for block, branch in atlas.branches:
        branch_record = atlas.branch(block, branch)
        assert len(branch_record.channels) == 32
        channel, record = next(iter(branch_record.channels.items()))
        assert decoded(branch_record.image(channel)).width >= 27
        assert branch_record.places(channel) is None, "no photos are shipped"
        assert len(record.classes) == 5
    tuned = layer_tuning(embedded, "3a")
    for channel, record in atlas.branch("3a", "1x1").channels.items():
        assert record.tuning is not None
        expected = tuned.channel(channel).curves["orientation"].responses
        assert record.tuning["orientation"]["responses"] == pytest.approx(expected, abs=2e-3)
    assert sum(file.stat().st_size for file in EMBEDDED_ATLAS.iterdir()) <= 6_000_000


def test_embedded_images_excite_their_channels_as_recorded(embedded: PretrainedModel) -> None:
    branch_record = read_atlas(EMBEDDED_ATLAS).branch("4a", "5x5")
    for channel, record in list(branch_record.channels.items())[:4]:
        x = embedded.preprocessing.to_tensor(decoded(branch_record.image(channel)))
        with torch.inference_mode():
            maps = embedded.model.trace(x).stages["inception_4a"][0, embedded.model.block("4a").slices["5x5"]]
        assert float(maps[channel].max()) == pytest.approx(record.activation, rel=0.15), (
            "differs by more than WebP's losses"
        )
        assert record.activation > record.strongest[0].value


def test_places_where_a_channel_is_not_above_zero_are_not_among_the_strongest() -> None:
    maps = torch.zeros(12, 3, 2, 2)
    maps[[4, 7], 0, 1, 0] = torch.tensor([2.0, 3.0])
    maps[:, 1] = -1
    maps[:, 2, 0, 1] = 1
    survey = BlockSurvey(3, seed=0, keep_maxima=False)
    for start in (0, 5):
        survey.add(maps[start : start + 5 + start], list(range(start, min(2 * start + 5, 12))))
    few, none, many = survey.result().strongest.photos.tolist()
    assert few == [7, 4, *[NOWHERE] * 7]
    assert none == [NOWHERE] * PLACES
    assert many == list(range(PLACES))


def damage(file: Path, name: str) -> None:
    """Change one byte of a file in an archive."""
    with zipfile.ZipFile(file) as archive:
        begin = archive.getinfo(name).header_offset + 30 + len(name)
    data = bytearray(file.read_bytes())
    data[begin + 40] ^= 255
    file.write_bytes(data)


def test_build_repairs_a_branch_with_a_damaged_picture(
    folder: Path, photos: Pieces, embedded: PretrainedModel, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    branch = read_atlas(tmp_path).branch("3a", "3x3")
    whole = branch.file.read_bytes()
    name = f"{min(branch.channels)}-image.webp"
    damage(branch.file, name)
    for read in (lambda: branch.image(min(branch.channels)), branch.pictures):
        with pytest.raises(UserError, match=r"'3a-3x3.zip' is missing or cut off; please finish the atlas"):
            read()
    build_atlas(embedded, photos, "pieces", tmp_path, OPTIONS)
    assert branch.file.read_bytes() == whole


def test_interrupted_build_keeps_the_images_of_a_branch_that_are_made(
    folder: Path, photos: Pieces, embedded: PretrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inception.units.atlas_build.IMAGES", 2)  # two batches for each branch
    lengths: list[int] = []

    def stopping(batches: Sequence[int]) -> Iterator[int]:
        lengths.append(len(batches))
        for number in batches:
            if len(lengths) == 2 and number == 3:
                raise KeyboardInterrupt
            yield number

    with pytest.raises(KeyboardInterrupt):
        build_atlas(embedded, photos, "pieces", tmp_path, OPTIONS, stopping)
    records = read_atlas(tmp_path).branch("3a", "3x3").channels
    assert sum(record.activation is not None for record in records.values()) == 2
    build_atlas(embedded, photos, "pieces", tmp_path, OPTIONS, stopping)
    assert lengths == [1, 8, 5]
    (tmp_path / "at once").mkdir()
    build_atlas(embedded, photos, "pieces", tmp_path / "at once", OPTIONS)
    for file in (tmp_path / "at once").iterdir():
        assert (tmp_path / file.name).read_bytes() == file.read_bytes()
