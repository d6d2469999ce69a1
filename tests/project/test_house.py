"""The repository is consistent: README, example photos, scripts, imports and public names."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from huggingface_hub import HfApi
from PIL import Image

import inception
from scripts import space
from support.paths import EXAMPLES, ROOT

BIN = Path(sys.executable).parent
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_tour_prints_what_the_readme_says() -> None:
    code, printed = re.search(r"```python\n(.*?)```\s+```text\n(.*?)```", README, re.S).groups()  # type: ignore[union-attr]
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    def words_and_numbers(text: str) -> tuple[list[str], list[float]]:
        return re.findall(r"[A-Za-z]+", text), [float(number) for number in re.findall(r"\d+\.\d+", text)]

    (words, numbers), (expected_words, expected_numbers) = map(words_and_numbers, (run.stdout, printed))
    assert words == expected_words
    # Processors round differently in the last digit shown.
    assert numbers == pytest.approx(expected_numbers, abs=0.11)


def test_every_file_that_the_readme_links_exists() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)", README)
    assert len(links) >= 5
    assert [link for link in links if not (ROOT / link).exists()] == []


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
        "inception/web/stage/static/index.html",
        "inception/web/stage/static/words/zh.json",
    } <= names
    assert not [name for name in names if name.startswith(("tests/", ".ci", "Dockerfile", ".dockerignore"))]


def test_an_upload_deletes_what_the_project_no_longer_has(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: dict[str, object] = {}
    monkeypatch.setattr(HfApi, "create_repo", lambda *_, **__: None)
    monkeypatch.setattr(HfApi, "upload_folder", lambda _, **options: sent.update(options))
    assert space.main(["somebody/lens"]) == 0
    assert (sent["delete_patterns"], sent["allow_patterns"]) == ("*", space.files_to_upload())


def test_a_failed_upload_is_reported_without_a_traceback(tmp_path: Path) -> None:
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path), "HF_TOKEN": "hf_none"}
    command = [sys.executable, "scripts/space.py", "somebody/lens"]
    run = subprocess.run(command, cwd=ROOT, env={**os.environ, **nowhere}, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stderr.startswith("The upload failed: ")
    assert "Traceback" not in run.stderr


def test_imports_go_one_way() -> None:
    """The contracts are in pyproject.toml."""
    run = subprocess.run([BIN / "lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "Contracts: 2 kept, 0 broken." in run.stdout, run.stdout + run.stderr


def test_the_map_lists_every_package_and_module() -> None:
    table = CONTRIBUTING.split("## The map")[1].split("\n## ")[0]
    listed = set(re.findall(r"^\| `inception/([a-z_/]+?)/?(?:\.py)?` \|", table, re.M))
    modules = (ROOT / "inception").glob("[a-z]*.py")
    packages = (path.parent for path in (ROOT / "inception").glob("*/__init__.py"))
    assert listed == {path.stem for path in (*modules, *packages)}


def test_public_names_are_listed_by_dir_and_can_be_imported() -> None:
    assert set(inception.__all__) <= set(dir(inception))
    assert all(callable(getattr(inception, name)) for name in inception.__all__)
    names = "load predict open_photo InceptionV1 InceptionBlock branch_votes ablate evidence render_branches mount"
    assert set(names.split()) <= set(inception.__all__)
    assert (ROOT / "inception" / "py.typed").is_file()


def test_importing_the_package_imports_none_of_its_dependencies() -> None:
    code = "import sys, inception; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "gradio", "numpy", "PIL", "matplotlib"} & {
        name.partition(".")[0] for name in run.stdout.split()
    }
