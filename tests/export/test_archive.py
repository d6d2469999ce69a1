"""Exported files, read back and compared with the prediction."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image, ImageFont

from inception import load, open_photo, predict
from inception.export import archive
from inception.export.figure import Caption, draw_figure, encode_png, wrap_text
from inception.network.anatomy import network_facts
from inception.network.blocks import BLOCKS, BRANCHES
from inception.network.inception_v1 import InceptionV1
from inception.prediction import Prediction, statistics
from inception.render import fonts
from inception.render import maps as render
from inception.render.branches import VIEWS, ViewOptions, render_branches
from inception.runtime.device import choose_device
from inception.service.service import InferenceService
from inception.web.api.keep import KINDS, Source, branch_name, caption_of, make_file, short
from support.paths import EXAMPLES, ROOT

DAY = "2026-02-03"
ABOUT = {"model": "tiny-imagenet", "photo": "espresso", "date": DAY}


@pytest.fixture(scope="module")
def prediction() -> Prediction:
    return predict(load(), open_photo(EXAMPLES / "espresso.jpg"))


@pytest.fixture(scope="module")
def service() -> InferenceService:
    return InferenceService(("tiny-imagenet",), choose_device("cpu"))


def source_of(service: InferenceService, picture: ViewOptions, language: str = "en") -> Source:
    query = service.query("tiny-imagenet", str(EXAMPLES / "espresso.jpg"))
    return Source(service, query, picture, DAY, language)


# ---------------------------------------------------------------- zip


@pytest.mark.parametrize("scale", render.SCALES)
def test_the_zip_holds_every_map_as_picture_and_values(prediction: Prediction, scale: str) -> None:
    picture = ViewOptions("3a", "mean", scale, "viridis")  # the zip has the channels, whatever the view
    with ZipFile(io.BytesIO(archive.maps_zip(prediction, ABOUT, "Read me.\n", picture))) as file:
        names = {f"{block}/{branch}" for block in BLOCKS for branch in BRANCHES}
        assert len(names) == 36
        expected = {f"{name}.{kind}" for name in names for kind in ("png", "npy")} | {"README.txt", "limits.json"}
        assert set(file.namelist()) == expected
        assert file.testzip() is None
        assert file.read("README.txt") == b"Read me.\n"
        limits = json.loads(file.read("limits.json"))
        assert {name: limits[name] for name in (*ABOUT, "scale", "colours")} == {
            **ABOUT,
            "scale": scale,
            "colours": "viridis",
        }
        for block in BLOCKS:
            panels = render_branches(prediction, ViewOptions(block, "channels", scale, "viridis"))
            for branch, values in prediction.branches(block).items():
                drawn, row = panels[branch].image, limits["blocks"][block][branch]
                with Image.open(file.open(row["picture"])) as image:
                    assert image.size == drawn.size
                    assert np.array_equal(np.asarray(image.convert("RGBA")), np.asarray(drawn.convert("RGBA")))
                assert np.array_equal(np.load(file.open(row["numbers"]), allow_pickle=False), values)
                bounds = render.scale_limits(prediction.branches(block), scale)[branch]
                actual_limits = row["limits"] if scale == "channel" else [row["limits"]] * len(values)
                assert actual_limits == [[bound.low, bound.high] for bound in bounds]
                assert row["silent"] == statistics(values).silent


def test_the_same_photo_gives_the_same_bytes(prediction: Prediction) -> None:
    first, second = (archive.maps_zip(prediction, ABOUT, "Read me.", ViewOptions()) for _ in range(2))
    assert first == second
    assert archive.table_csv(prediction, imagenet=True) == archive.table_csv(prediction, imagenet=True)
    assert archive.table_json(prediction, ABOUT) == archive.table_json(prediction, ABOUT)


def test_values_above_the_size_limit_are_left_out(prediction: Prediction, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "RAW_BYTES", 1000)
    with ZipFile(io.BytesIO(archive.maps_zip(prediction, ABOUT, "", ViewOptions()))) as file:
        assert not [name for name in file.namelist() if name.endswith(".npy")]
        assert json.loads(file.read("limits.json"))["blocks"]["3a"]["1x1"]["numbers"] is None


def test_googlenets_values_are_below_the_size_limit() -> None:
    facts = network_facts(InceptionV1(variant="googlenet", classes=10))
    numbers = sum(branch.channels * branch.height * branch.width for branches in facts.values() for branch in branches)
    assert 10**6 < numbers * 4 < archive.RAW_BYTES


# ---------------------------------------------------------------- tables


def rows_of(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def test_the_csv_has_every_class_and_every_branch(prediction: Prediction) -> None:
    rows = rows_of(archive.table_csv(prediction, imagenet=True))
    classes = [row for row in rows if row["kind"] == "class"]
    branches = [row for row in rows if row["kind"] == "branch"]
    assert len(classes) + len(branches) == len(rows)
    assert [(int(row["class"]), row["label"], float(row["logit"]), float(row["probability"])) for row in classes] == [
        (guess.index, guess.label, guess.logit, guess.probability) for guess in prediction.top(200)
    ]
    chinese = {row["label"]: row["label_zh"] for row in classes}
    assert chinese["espresso"] == "浓缩咖啡"
    assert sum(float(row["probability"]) for row in classes) == pytest.approx(1, abs=1e-5)
    assert [(row["block"], row["branch"]) for row in branches] == [
        (block, branch) for block in BLOCKS for branch in BRANCHES
    ]
    for row in branches:
        numbers = asdict(statistics(prediction.branch(row["block"], row["branch"])))
        assert {name: float(row[name]) for name in numbers} == numbers
        assert row["label"] == row["probability"] == ""


def test_classes_of_a_users_checkpoint_have_no_chinese_names(small_file: Path) -> None:
    service = InferenceService((str(small_file),), choose_device("cpu"))
    query = service.query("small.safetensors", str(EXAMPLES / "espresso.jpg"))
    name, data = make_file("csv", Source(service, query, ViewOptions(), DAY, "zh"))
    labels = {row["label"]: row["label_zh"] for row in rows_of(data) if row["kind"] == "class"}
    assert name == "small.safetensors-photo.csv"
    assert labels["espresso"] == ""
    assert set(labels.values()) == {""}


def test_the_json_holds_the_same_numbers(prediction: Prediction) -> None:
    report = json.loads(archive.table_json(prediction, ABOUT))
    assert {name: report[name] for name in ABOUT} == ABOUT
    assert report["not_sure"] is prediction.rejected
    assert [row["class"] for row in report["classes"]] == [guess.index for guess in prediction.top(200)]
    assert {row["label"] for row in report["classes"]} == set(prediction.labels)
    assert report["blocks"] == {
        block: {branch: asdict(statistics(values)) for branch, values in prediction.branches(block).items()}
        for block in BLOCKS
    }


@pytest.mark.parametrize(
    "name", ["=1+1", "+cmd|' /C calc'!A0", "-2", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", '=1,"2\n']
)
def test_labels_that_look_like_formulas_are_escaped(prediction: Prediction, name: str) -> None:
    named = replace(prediction, labels=(name, *prediction.labels[1:]))
    cell = next(row["label"] for row in rows_of(archive.table_csv(named, imagenet=True)) if row["class"] == "0")
    assert cell == f"'{name}"
    assert name in {row["label"] for row in json.loads(archive.table_json(named, ABOUT))["classes"]}


@pytest.mark.parametrize("name", ["cat", "斑马", "a=b", "Sutton Hoo helmet, 7th c.", ""])
def test_other_labels_are_unchanged(name: str) -> None:
    assert archive.escape_formula(name) == name


# ---------------------------------------------------------------- figure


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(("language", "scale"), [("en", "shared"), ("zh", "branch")])
def test_a_figure_shows_the_panels_and_a_caption(
    service: InferenceService, view: str, language: str, scale: str
) -> None:
    source = source_of(service, ViewOptions("4c", view, scale), language)
    name, data = make_file("sheet", source)
    assert name == f"tiny-imagenet-photo-4c-{view}.png"
    image = Image.open(io.BytesIO(data))
    pixels = np.asarray(image)
    panels = render_branches(source.prediction, source.picture)
    width = sum(panel.image.width for panel in panels.values())
    assert width < image.width < width * 1.3
    highest = max(panel.image.height for panel in panels.values())
    assert highest + 100 < image.height < highest + 600
    # Every panel appears in the figure, pixel by pixel.
    for panel in panels.values():
        assert _contains(pixels, np.asarray(panel.image.convert("RGBA")))
    # The caption, dark text on white, is right of the photo and above the panels.
    caption = pixels[: image.height - highest - 60, image.width // 8 :].min(axis=2)
    assert 0.002 < (caption < 120).mean() < 0.3


def _contains(page: np.ndarray, part: np.ndarray) -> bool:
    """Return whether `part`, apart from its transparent gaps, appears in `page`."""
    opaque = part[..., 3] > 0
    first = np.argwhere(opaque)[0]
    colour = part[tuple(first)][:3]
    height, width = part.shape[:2]
    corners = (page[: page.shape[0] - height + 1, : page.shape[1] - width + 1] == colour).all(axis=2)
    for top, left in np.argwhere(corners):
        # Compare a few pixels first, and the whole part only where they agree.
        if not (page[top : top + 9, left : left + 9] == part[:9, :9, :3]).all():
            continue
        window = page[top : top + height, left : left + width]
        if (window[opaque] == part[..., :3][opaque]).all():
            return True
    return False


def captioned(service: InferenceService, picture: ViewOptions, language: str) -> Caption:
    source = source_of(service, picture)
    return caption_of(source, render_branches(source.prediction, picture), language)


def test_the_caption_states_model_block_branches_scale_and_date(service: InferenceService) -> None:
    caption = captioned(service, ViewOptions("4c"), "en")
    assert caption.title == "Block 4c · all channels"
    assert "tiny-imagenet" in caption.lines[0]
    assert "espresso" in caption.lines[0]
    assert DAY in caption.lines[0]
    assert "One scale for all four branches" in caption.lines[-1]
    panels = render_branches(source_of(service, ViewOptions("4c")).prediction, ViewOptions("4c"))
    bounds = panels["1x1"].bounds
    assert bounds is not None
    assert caption.ends == (f"{bounds.low:.2f}", f"{bounds.high:.2f}")
    assert [branch_caption.heading.split(" ")[0] for branch_caption in caption.branches.values()] == [
        "1×1",
        "3×3",
        "5×5",
        "pool",
    ]
    assert all(
        f"mean {panels[branch].numbers.mean:.2f}" in branch_caption.numbers
        for branch, branch_caption in caption.branches.items()
    )
    branch_scaled = captioned(service, ViewOptions("4c", scale="branch"), "en")
    assert branch_scaled.ends is None
    assert len({branch_caption.ends for branch_caption in branch_scaled.branches.values()}) == 4
    channel_scaled = captioned(service, ViewOptions("4c", scale="channel"), "en")
    assert channel_scaled.ends is None
    assert {branch_caption.ends for branch_caption in channel_scaled.branches.values()} == {None}
    assert "模块 4c" in captioned(service, ViewOptions("4c"), "zh").title


def test_the_caption_reports_rejection(service: InferenceService, tmp_path: Path) -> None:
    Image.new("RGB", (300, 300), (128, 128, 128)).save(tmp_path / "nothing.png")
    source = replace(
        source_of(service, ViewOptions()), query=service.query("tiny-imagenet", str(tmp_path / "nothing.png"))
    )
    panels = render_branches(source.prediction, source.picture)
    assert "Not sure: even the best of the 200 classes" in caption_of(source, panels, "en").lines[1]
    assert "没有把握：200 个类别" in caption_of(source, panels, "zh").lines[1]


def test_torchvisions_5x5_branch_is_named_with_its_actual_kernel() -> None:
    facts = network_facts(InceptionV1(variant="torchvision", classes=3))["4c"]
    assert [branch_name(fact, "en") for fact in facts] == ["1×1", "3×3", "5×5 (runs 3×3)", "pool"]
    assert branch_name(facts[2], "zh") == "5×5（实为 3×3）"


def test_numbers_are_short_and_readable() -> None:
    expected = ["0.00", "0.12", "5.30", "12.3", "501.6", "-3.14"]
    assert [short(value) for value in (0, 0.123456, 5.302, 12.34, 501.58, -3.14159)] == expected


def test_a_figure_is_in_english_without_a_chinese_font(
    service: InferenceService, monkeypatch: pytest.MonkeyPatch
) -> None:
    english = make_file("sheet", source_of(service, ViewOptions("5a", "mean")))[1]
    monkeypatch.setattr(fonts, "font_folders", lambda: ())
    assert fonts.face_for("Block ×·×") == fonts.default_face()
    assert fonts.face_for("模块") is None
    assert make_file("sheet", source_of(service, ViewOptions("5a", "mean"), "zh"))[1] == english


def test_without_a_home_folder_only_system_font_folders_are_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    system_folders = tuple(folder for folder in fonts.font_folders() if not folder.is_relative_to(Path.home()))

    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", home)
    assert fonts.font_folders() == system_folders


def test_a_chinese_font_is_found_by_file_name(tmp_path: Path) -> None:
    with_font, without = tmp_path / "one", tmp_path / "other"
    for folder in (with_font, without):
        folder.mkdir()
        (folder / "simhei.ttf").write_bytes(b"not a font")
    font = with_font / "wqy-microhei.ttc"
    font.write_bytes(Path(fonts.default_face().path).read_bytes())
    assert fonts.chinese_face((with_font,)) == fonts.Face(str(font))
    assert fonts.chinese_face((without, with_font)) == fonts.Face(str(font))
    assert fonts.chinese_face((without,)) is None


def test_long_text_is_wrapped() -> None:
    font = ImageFont.truetype(fonts.default_face().path, 20)
    lines = wrap_text("one two three four five six seven", font, 120)
    assert len(lines) > 2
    assert " ".join(lines) == "one two three four five six seven"
    assert all(font.getlength(line) <= 120 for line in lines)
    chinese = wrap_text("每条分支各有色标，分支之间的明暗不能比较。", font, 100)
    assert len(chinese) > 2
    assert not [line for line in chinese if line[0] in "，。"]
    assert wrap_text("", font, 100) == []


def test_equal_figures_have_equal_bytes(prediction: Prediction, service: InferenceService) -> None:
    panels, caption = (
        render_branches(prediction, ViewOptions("5b", "mean")),
        captioned(service, ViewOptions("5b", "mean"), "en"),
    )
    first, second = (encode_png(draw_figure(prediction.image, panels, caption, "magma")) for _ in range(2))
    assert first == second


def test_file_names_contain_network_and_kind_but_not_the_photo(service: InferenceService) -> None:
    files = dict(make_file(kind, source_of(service, ViewOptions())) for kind in KINDS)
    assert list(files) == [
        "tiny-imagenet-photo-3a-channels.png",
        "tiny-imagenet-photo-maps.zip",
        "tiny-imagenet-photo.csv",
        "tiny-imagenet-photo.json",
    ]
    report = json.loads(files["tiny-imagenet-photo.json"])
    assert (report["model"], report["photo"], report["date"]) == ("tiny-imagenet", None, DAY)


@pytest.mark.parametrize("module", ["archive", "figure", "folder", "parquet", "report"])
def test_files_are_made_without_the_page(module: str) -> None:
    code = (
        f"import sys, inception.export.{module}\n"
        "print(*(name for name in sys.modules if name.startswith(('gradio', 'inception.web'))))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split() == []
