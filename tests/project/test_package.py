"""Installation by `pip install .`: the wheel is complete, and its command works in any folder."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import httpx
import pytest
from gradio_client import Client, handle_file

from inception import __version__
from support.paths import EXAMPLES, ROOT
from support.server import free_port, wait_for
from support.stage import event_result


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands of a new environment with the wheel; its libraries are those of this environment."""
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (site,) = environment.glob("lib/python*/site-packages")
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    pip("--python", environment / "bin" / "python", "install", "--no-deps", wheel)
    return environment / "bin"


def pip(*arguments: object) -> None:
    options = ("--quiet", "--disable-pip-version-check", "--no-input")
    environment = {**os.environ, "PIP_NO_INDEX": "1"}
    subprocess.run([sys.executable, "-m", "pip", *options, *map(str, arguments)], env=environment, check=True)


def run(command: Path, *arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [command, *map(str, arguments)], cwd=folder, capture_output=True, text=True, check=True, timeout=240
    )


def tracked(folder: str) -> set[str]:
    listed = subprocess.run(["git", "ls-files", "-z", folder], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(filter(None, listed.stdout.split("\0")))


def test_the_wheel_contains_exactly_the_files_that_the_program_reads(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    embedded = {"weights/README.md", "weights/tiny-imagenet.safetensors", "weights/tiny-imagenet.unknown.json"}
    resources = {
        f"inception/resources/{name}"
        for name in tracked("examples") | tracked("weights/tiny-imagenet.atlas") | embedded
    }
    assert names == tracked("inception") | resources
    assert {f"inception/web/stage/static/{name}" for name in ("index.html", "js/main.js", "words/zh.json")} <= names


def test_the_metadata_of_the_wheel_match_the_project(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (metadata_name,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
        metadata = Parser().parsestr(archive.read(metadata_name).decode())
    assert (metadata["Name"], metadata["Version"]) == ("inception-lens", __version__)
    actual = {line.split(";")[0].strip() for line in metadata.get_all("Requires-Dist") if "extra ==" not in line}
    expected = [line.split(";")[0] for line in (ROOT / "requirements.txt").read_text().splitlines()]
    assert {parsed_requirement(line) for line in actual} == {parsed_requirement(line) for line in expected}
    assert metadata.get_payload().startswith("# InceptionLens"), "the front matter, which is for Spaces, is left out"
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\S+)", changes, re.M)[:2] == ["Unreleased", __version__]


def parsed_requirement(requirement: str) -> tuple[str, frozenset[str]]:
    name, bounds = re.fullmatch(r"([\w.\[\]-]+?)((?:[<>=~!].*)?)", requirement).groups()  # type: ignore[union-attr]
    return name, frozenset(bounds.split(","))


def test_the_source_archive_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    code = f"import hatchling.build; print(hatchling.build.build_sdist({str(tmp_path)!r}))"
    build = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    with tarfile.open(tmp_path / build.stdout.split()[-1]) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = (path for path in tmp_path.iterdir() if path.is_dir())
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, unpacked)
    (rebuilt,) = tmp_path.glob("*.whl")
    assert zipfile.ZipFile(rebuilt).namelist() == zipfile.ZipFile(wheel).namelist()


def test_the_command_has_the_same_subcommands_as_the_module(installed: Path, tmp_path: Path) -> None:
    module = subprocess.run(
        [sys.executable, "-m", "inception", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    command = run(installed / "inception-lens", "--help", folder=tmp_path)
    command_names, module_names = (
        re.findall(r"^  (\w+) ", text.partition("Commands:\n")[2], re.M) for text in (command.stdout, module.stdout)
    )
    assert command_names == module_names
    assert {"predict", "explain", "train", "serve"} <= set(command_names)
    assert command.stdout.startswith("Usage: inception-lens ")
    assert run(installed / "inception-lens", "--version", folder=tmp_path).stdout.split() == [
        "inception-lens",
        __version__,
    ]


def test_the_command_predicts_in_any_folder_with_the_embedded_weights(installed: Path, tmp_path: Path) -> None:
    location = run(installed / "python", "-c", "import inception; print(inception.__file__)", folder=tmp_path).stdout
    assert Path(location.strip()).is_relative_to(installed.parent)
    prediction = run(installed / "inception-lens", "predict", EXAMPLES / "espresso.jpg", "--json", folder=tmp_path)
    assert json.loads(prediction.stdout)["top"][0]["label"] == "espresso"


def test_the_command_serves_the_page_with_its_example_photos(installed: Path, tmp_path: Path) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    page = subprocess.Popen(
        [installed / "inception-lens", "serve", "--device", "cpu"],
        cwd=tmp_path,
        env={**os.environ, "GRADIO_SERVER_PORT": str(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(address, page)
        client = Client(address, verbose=False)
        response = client.predict(handle_file(str(EXAMPLES / "bison.jpg")), "tiny-imagenet", 1, api_name="/predict")
        shown = [photo["stem"] for photo in event_result(f"{address}/", "start")["examples"]]
        content_type = httpx.get(f"{address}/stage/examples/{shown[0]}.jpg").headers["content-type"]
    finally:
        page.terminate()
        page.communicate(timeout=60)
    assert response["top"][0]["label"] == "bison"
    assert content_type == "image/jpeg"
    assert sorted(shown) == sorted(photo.stem for photo in EXAMPLES.glob("*.jpg"))
    assert [path for path in tmp_path.iterdir() if path.name != "cache"] == [], (
        "no files are left in the working directory"
    )
