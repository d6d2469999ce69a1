"""Each explanation is declared once: the API, the MCP tools, the command line and the JSON follow from it."""

from __future__ import annotations

import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, ClassVar

import gradio as gr
import pytest
from jsonschema import Draft202012Validator

from inception import PretrainedModel, open_photo, predict
from inception.cli.main import load_command, main
from inception.errors import UserError
from inception.explain.catalogue import EXPLANATIONS
from inception.explain.registry import ABLATIONS, BLOCK_NAMES, BRANCH_NAMES, MAX_CHANNELS, PhotoSubject, Subject
from inception.network.blocks import BLOCKS, BRANCHES
from inception.prediction import Prediction
from inception.runtime.device import choose_device
from inception.service.service import InferenceService
from inception.web.api.endpoint import Endpoint
from inception.web.api.endpoints import add_endpoints
from support.paths import EXAMPLES, ROOT

ESPRESSO = EXAMPLES / "espresso.jpg"
DECLARED = {
    "branch_votes": "block class_name off",
    "network_table": "class_name off",
    "class_evidence": "class_name",
    "grad_cam": "block class_name",
    "switch_off": "block branches channels off",
    "cell": "block branch channel row column",
    "logit_circuit": "class_name",
    "circuit": "block branch channel row column",
    "occlusion": "class_name",
    "integrated_gradients": "class_name",
    "faithfulness": "method block class_name",
}


@pytest.fixture(scope="module")
def seen(embedded: PretrainedModel) -> Prediction:
    return predict(embedded, open_photo(ESPRESSO))


class KeptSubject(PhotoSubject):
    """Computes each thing once, as a server may: some take seconds."""

    kept: ClassVar[dict[Any, Any]] = {}

    def cached(self, function: Callable[..., Any], *arguments: Any) -> Any:
        key = (function, *arguments)
        if key not in self.kept:
            self.kept[key] = self.compute(function, *arguments)
        return self.kept[key]


@pytest.fixture(scope="module")
def subject(embedded: PretrainedModel, seen: Prediction) -> Subject:
    return KeptSubject(embedded, seen)


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
    code = (
        "import sys, inception.explain.catalogue; assert not {'torch', 'numpy', 'gradio', 'typer'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize("name", DECLARED)
def test_every_default_passes_its_own_check_and_gives_plain_data(name: str, subject: Subject) -> None:
    one = EXPLANATIONS[name]
    arguments = {argument.name: argument.check(argument.default) for argument in one.arguments}
    told = one(subject, **arguments).to_dict()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told == one(subject).to_dict()


def test_a_list_of_choices_names_each_at_most_once() -> None:
    branches, channels = EXPLANATIONS["switch_off"].arguments[1:3]
    validator = Draft202012Validator(branches.schema)
    for value, allowed in ((["1x1", "pool"], True), ([], True), (["1x1", "1x1"], False)):
        assert validator.is_valid(value) == allowed
        with nullcontext() if allowed else pytest.raises(UserError, match="each at most once"):
            assert branches.check(value) == value
    assert channels.check([3, 3]) == [3, 3], "numbers are a set anyway"
    assert Draft202012Validator(channels.schema).is_valid([3, 3])


# ---------------------------------------------------------------- what follows from the declarations


@pytest.fixture(scope="module")
def endpoints() -> dict[str, Endpoint]:
    with gr.Blocks():
        return {one.name: one for one in add_endpoints(InferenceService(("tiny-imagenet",), choose_device("cpu")))}


@pytest.mark.parametrize("name", DECLARED)
def test_the_endpoint_takes_a_photo_a_network_and_what_is_declared(name: str, endpoints: dict[str, Endpoint]) -> None:
    declared, endpoint = EXPLANATIONS[name], endpoints[name]
    photo, model, *others = endpoint.arguments
    assert (photo.name, photo.required, model.name) == ("photo", True, "model")
    assert tuple(others) == declared.arguments
    assert endpoint.description.startswith(declared.summary)


def test_the_readme_counts_the_endpoints_and_the_tools(endpoints: dict[str, Endpoint]) -> None:
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"lists all {len(endpoints)} with their arguments" in text
    assert (
        f"`--mcp` {sum(one.is_tool for one in endpoints.values())} of them are also the tools of an MCP server" in text
    )


def test_the_tools_take_what_is_declared(endpoints: dict[str, Endpoint]) -> None:
    tools = pytest.importorskip("inception.web.mcp.tools", reason="needs requirements-mcp.txt").tools
    listed = tools(list(endpoints.values()))
    assert {name for name in DECLARED if name in listed} == {one.name for one in EXPLANATIONS.values() if one.is_tool}
    for name in set(listed) & set(DECLARED):
        rows = listed[name].definition.inputSchema["properties"]
        expected = {argument.name: argument for argument in EXPLANATIONS[name].arguments}
        assert list(rows) == ["photo", "model", *expected]
        for key, argument in expected.items():
            told = {"description": argument.sentence, "default": argument.default}
            assert rows[key] == {**argument.schema, **told}


def test_the_command_line_has_an_option_for_each_explanation_or_for_its_own_arguments() -> None:
    options = {name.removeprefix("--") for one in load_command("explain").params for name in one.opts}
    shared = {argument.name for argument in EXPLANATIONS["branch_votes"].arguments}
    for one in EXPLANATIONS.values():
        own = [argument for argument in one.arguments if argument.name not in shared]
        lists = {argument.option or argument.name for argument in own if argument.is_list}
        assert one.name == "branch_votes" or (lists or {one.option}) <= options
        assert {argument.option or argument.name for argument in one.arguments if argument.name in shared} <= options


def test_the_command_line_gives_the_same_json(subject: Subject, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = ["--table", "--evidence", "--cam", "--switch-off", "5x5", "--channels", "3", "--cell", "pool:1:2:3"]
    wanted += ["--logit-circuit", "--circuit", "pool:1:2:3", "--occlusion", "--integrated-gradients"]
    wanted += ["--faithfulness", "evidence"]
    asked = ["--class", "pretzel", "--block", "4c", "--subsets", *wanted]
    assert main(["explain", str(ESPRESSO), "--json", *asked]) == 0
    told = json.loads(capsys.readouterr().out)
    given = {"block": "4c", "class_name": "pretzel", "off": "zero"}
    given |= {"branches": ["5x5"], "channels": [3], "branch": "pool", "channel": 1, "row": 2, "column": 3}
    given["method"] = "evidence"
    expected: dict[str, Any] = {"photo": str(ESPRESSO), "model": "tiny-imagenet"}
    for one in EXPLANATIONS.values():
        part = one(subject, **{argument.name: given[argument.name] for argument in one.arguments}).to_dict()
        expected |= part if one.name == "branch_votes" else {one.key: part}
    assert told == expected


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("branch_votes", {"block": "4c", "class_name": "pretzel"}),
        ("network_table", {"class_name": "pretzel"}),
        ("switch_off", {"block": "4c", "branches": ["5x5"], "channels": [3]}),
        ("class_evidence", {"class_name": "pretzel"}),
        ("grad_cam", {"block": "4c", "class_name": "pretzel"}),
        ("cell", {"block": "4c", "branch": "pool", "channel": 1, "row": 2, "column": 3}),
        ("logit_circuit", {"class_name": "pretzel"}),
        ("occlusion", {"class_name": "pretzel"}),
        ("integrated_gradients", {"class_name": "pretzel"}),
        ("faithfulness", {"method": "evidence", "block": "4c", "class_name": "pretzel"}),
        ("circuit", {"block": "4c", "branch": "pool", "channel": 1, "row": 2, "column": 3}),
    ],
)
def test_the_library_and_the_endpoint_give_the_same_json(
    name: str, arguments: dict[str, Any], endpoints: dict[str, Endpoint], subject: Subject
) -> None:
    photo = f"data:image/jpeg;base64,{b64encode(ESPRESSO.read_bytes()).decode()}"
    every = {one.name: one.default for one in EXPLANATIONS[name].arguments} | arguments
    told = endpoints[name].function(photo, "tiny-imagenet", *every.values())
    assert told == {"model": "tiny-imagenet", **EXPLANATIONS[name](subject, **arguments).to_dict()}
