"""The benchmarks measure what their rows say; how long it takes is no test."""

from __future__ import annotations

from conftest import EXAMPLES
from PIL import Image

from benchmarks import explain
from inception.explain.evidence import GradCam
from inception.explain.votes import Glance, Votes
from inception.model import BLOCKS, BRANCHES
from inception.observation import observe
from inception.weights import Pretrained


def test_each_row_of_the_explanations_does_what_its_name_says(embedded: Pretrained) -> None:
    observation = observe(embedded, Image.open(EXAMPLES / "espresso.jpg").convert("RGB"))
    work = explain.explanations(embedded, observation)
    assert list(work) == list(explain.BOUNDS) == ["votes-3a", "votes-4c", "glance", "grad-cam"]
    done = {name: run() for name, run in work.items()}
    for block in ("3a", "4c"):
        told = done[f"votes-{block}"]
        assert isinstance(told, Votes)
        assert (told.block, len(told.subsets)) == (block, 16)
    table = done["glance"]
    assert isinstance(table, Glance)
    assert {block: set(falls) for block, falls in table.falls.items()} == {block: set(BRANCHES) for block in BLOCKS}
    maps = done["grad-cam"]
    assert isinstance(maps, dict)
    assert set(maps) == {None, *BRANCHES}
    assert all(isinstance(one, GradCam) and one.block == "4c" for one in maps.values())
