"""docs/explanations.md: its Python runs, its pictures and options exist, and it names tabs as the stage does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from inception.cli.main import load_command
from scripts import draw_explanations
from support.paths import ROOT

PAGE = ROOT / "docs" / "explanations.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_all_python_blocks_run_in_sequence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    blocks = list(re.finditer(r"```python\n(.*?)```", TEXT, re.S))
    assert len(blocks) >= 9
    names: dict[str, object] = {}
    for block in blocks:
        # With leading blank lines, errors report the line of the page.
        exec(compile("\n" * TEXT[: block.start(1)].count("\n") + block[1], str(PAGE), "exec"), names)
    assert "90 % of the energy" in capsys.readouterr().out


def test_the_script_draws_the_pictures_that_the_page_shows(tmp_path: Path) -> None:
    shown = re.findall(r"!\[(.+?)\]\((.+?)\)", TEXT)
    draw_explanations.main(tmp_path)
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sorted(sizes) == sorted(name for _, name in shown)
    assert all((PAGE.parent / name).is_file() for name in sizes)
    assert max(sizes.values()) < 120_000
    assert sum(sizes.values()) < 600_000


def test_links_within_the_page_lead_to_its_headings() -> None:
    anchors = {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", TEXT, re.M)
    }
    links = set(re.findall(r"\]\(#(.+?)\)", TEXT))
    assert len(links) >= 8
    assert links <= anchors


def test_the_page_documents_every_option_of_the_command() -> None:
    known = {name for option in load_command("explain").params for name in option.opts if name.startswith("--")}
    known -= {"--model", "--device"}  # options of every command
    assert set(re.findall(r"(?<=[`| ])--[a-z][a-z-]*", TEXT)) == known


def test_the_page_names_tabs_as_the_stage_does() -> None:
    """After "On the page", names in italics are words of the stage, and each view with explanations is named."""
    passages = " ".join(re.findall(r"^On the page: .+?(?:\n\n|\Z)", TEXT, re.M | re.S)).replace("\n", " ")
    words = json.loads((ROOT / "inception/web/stage/static/words/en.json").read_text(encoding="utf-8"))
    named = set(re.findall(r"\*([^*]+)\*", passages))
    assert {words[f"deeper.{view}"] for view in ("evidence", "cell", "cost", "dial", "numbers")} <= named
    assert named <= {word for word in words.values() if isinstance(word, str)}
