"""The house is in order: what README, examples and scripts promise holds."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import yaml
from PIL import Image

from support.paths import EXAMPLES, ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_tour_prints_what_the_readme_says() -> None:
    code, printed = re.search(r"```python\n(.*?)```\s+```text\n(.*?)```", README, re.S).groups()  # type: ignore[union-attr]
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    def words_and_numbers(text: str) -> tuple[list[str], list[float]]:
        return re.findall(r"[A-Za-z]+", text), [float(number) for number in re.findall(r"\d+\.\d+", text)]

    (words, numbers), (wanted_words, wanted_numbers) = map(words_and_numbers, (run.stdout, printed))
    assert words == wanted_words
    # Processors round differently in the last digit shown.
    assert numbers == pytest.approx(wanted_numbers, abs=0.11)


def test_every_file_that_the_readme_names_is_there() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)", README)
    assert len(links) >= 5
    assert [link for link in links if not (ROOT / link).exists()] == []
    table = README.split("## Where things are")[1].split("Imports go one way")[0]
    named = [name for row in re.findall(r"^\| (`.*?) \|", table, re.M) for name in re.findall(r"`([^`]+)`", row)]
    homes = [ROOT, ROOT / "inception"]
    assert [name for name in named if not any((home / name).exists() for home in homes)] == []


def test_the_spaces_front_matter_is_complete() -> None:
    front = yaml.safe_load(README.split("---")[1])
    assert front["sdk"] == "gradio"
    assert (ROOT / front["app_file"]).is_file()
    assert len(front["short_description"]) <= 60
    assert {
        "title",
        "emoji",
        "colorFrom",
        "colorTo",
        "sdk_version",
        "python_version",
        "license",
        "tags",
        "models",
        "preload_from_hub",
        "suggested_hardware",
    } <= set(front)
    assert sys.version_info[:2] >= (3, 11) <= tuple(map(int, front["python_version"].split(".")))
    assert {name.split()[0] for name in front["preload_from_hub"]} == set(front["models"])
    low, high = re.search(r"gradio>=([\d.]+),<(\d+)", (ROOT / "requirements.txt").read_text()).groups()  # type: ignore[union-attr]
    version = tuple(map(int, front["sdk_version"].split(".")))
    assert tuple(map(int, low.split("."))) <= version < (int(high),)


def test_every_example_photo_has_its_source_and_licence() -> None:
    rows = re.findall(r"^\| `(\w+\.jpg)` \|(.*)\|$", (EXAMPLES / "SOURCES.md").read_text(encoding="utf-8"), re.M)
    assert sorted(name for name, _ in rows) == sorted(path.name for path in EXAMPLES.glob("*.jpg"))
    assert all(re.search(r"CC0-1.0|CC-BY-4.0|public domain", row) for _, row in rows)
    for path in EXAMPLES.glob("*.jpg"):
        with Image.open(path) as image:
            assert min(image.size) >= 224, path.name


def test_a_dry_run_lists_what_a_space_needs_and_no_more() -> None:
    run = subprocess.run(
        [sys.executable, "scripts/space.py", "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    names = {line.split(maxsplit=1)[1] for line in run.stdout.splitlines()}
    assert {
        "app.py",
        "requirements.txt",
        "README.md",
        "weights/tiny-imagenet.safetensors",
        "inception/web/static/style.css",
    } <= names
    assert not [name for name in names if name.startswith(("tests/", ".ci", "Dockerfile", ".dockerignore"))]


@pytest.mark.parametrize(
    ("layer", "must_not_know"),
    [
        ("inception/network/inception_v1.py", ("weights", "observation", "render", "page", "gradio")),
        ("inception/render/maps.py", ("model", "weights", "observation", "page", "gradio")),
        ("inception/pretrained/zoo.py", ("observation", "render", "page", "gradio")),
        ("inception/prediction.py", ("render", "page", "gradio")),
        ("inception/render/branches.py", ("page", "gradio")),
        ("inception/export/report.py", ("page", "gradio")),
    ],
)
def test_imports_go_one_way(layer: str, must_not_know: tuple[str, ...]) -> None:
    imported = re.findall(r"^\s*(?:from|import) ([\w.]+)", (ROOT / layer).read_text(), re.M)
    imported += re.findall(r"^from \. import (.+)$", (ROOT / layer).read_text(), re.M)
    last = {name.strip().split(".")[-1] for names in imported for name in names.split(",")}
    assert not last & set(must_not_know)
