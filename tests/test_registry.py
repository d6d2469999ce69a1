"""Each explanation is declared once: the API, the MCP tools, the command line and the JSON follow from it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from conftest import EXAMPLES, ROOT

from inception import PretrainedModel, open_photo, predict
from inception.explain.catalogue import EXPLANATIONS
from inception.explain.registry import ABLATIONS, BLOCK_NAMES, BRANCH_NAMES, MAX_CHANNELS, PhotoSubject
from inception.network.blocks import BLOCKS, BRANCHES
from inception.prediction import Prediction

ESPRESSO = EXAMPLES / "espresso.jpg"
DECLARED = {
    "branch_votes": "block class_name off",
    "network_table": "class_name off",
    "class_evidence": "class_name",
    "grad_cam": "block class_name",
    "switch_off": "block branches channels off",
    "cell": "block branch channel row column",
}


@pytest.fixture(scope="module")
def seen(embedded: PretrainedModel) -> Prediction:
    return predict(embedded, open_photo(ESPRESSO))


def test_these_explanations_are_declared_with_these_arguments() -> None:
    assert {
        name: " ".join(argument.name for argument in one.arguments) for name, one in EXPLANATIONS.items()
    } == DECLARED


def test_names_that_are_repeated_to_spare_an_import_are_those_of_the_network() -> None:
    assert tuple(BLOCKS) == BLOCK_NAMES
    assert tuple(BRANCHES) == BRANCH_NAMES
    assert max(one.n1x1 + one.n3x3[-1] + one.n5x5[-1] + one.pool_proj for one in BLOCKS.values()) == MAX_CHANNELS
    assert ABLATIONS == ("zero", "mean")


def test_the_declarations_are_read_without_torch() -> None:
    code = "import sys, inception.explain.catalogue; assert not {'torch', 'numpy', 'gradio', 'typer'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize("name", DECLARED)
def test_every_default_passes_its_own_check_and_gives_plain_data(
    name: str, embedded: PretrainedModel, seen: Prediction
) -> None:
    one = EXPLANATIONS[name]
    arguments = {argument.name: argument.check(argument.default) for argument in one.arguments}
    told = one(PhotoSubject(embedded, seen), **arguments).to_dict()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told == one(PhotoSubject(embedded, seen)).to_dict()
