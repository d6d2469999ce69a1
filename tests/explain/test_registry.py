"""Each explanation is declared once: the API, the MCP tools, the command line and the JSON follow from it."""

from __future__ import annotations

import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar

import gradio as gr
import pytest
from jsonschema import Draft202012Validator

from inception import PretrainedModel, load, open_photo, predict
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
def network(small_file: Path) -> PretrainedModel:
    return load(small_file)


@pytest.fixture(scope="module")
def prediction(network: PretrainedModel) -> Prediction:
    return predict(network, open_photo(ESPRESSO))


class CachingSubject(PhotoSubject):
    """Caches each computation, as the server does: some take seconds."""

    cache: ClassVar[dict[Any, Any]] = {}

    def cached(self, function: Callable[..., Any], *arguments: Any) -> Any:
        key = (function, *arguments)
        if key not in self.cache:
            self.cache[key] = self.compute(function, *arguments)
        return self.cache[key]


@pytest.fixture(scope="module")
def subject(network: PretrainedModel, prediction: Prediction) -> Subject:
    return CachingSubject(network, prediction)


def test_declared_explanations_and_their_arguments() -> None:
    assert {
        name: " ".join(argument.name for argument in explanation.arguments)
        for name, explanation in EXPLANATIONS.items()
    } == DECLARED


def test_constants_repeated_to_avoid_an_import_match_the_network() -> None:
    assert tuple(BLOCKS) == BLOCK_NAMES
    assert tuple(BRANCHES) == BRANCH_NAMES
    assert (
        max(widths.n1x1 + widths.n3x3[-1] + widths.n5x5[-1] + widths.pool_proj for widths in BLOCKS.values())
        == MAX_CHANNELS
    )
    assert ABLATIONS == ("zero", "mean")


def test_catalogue_imports_without_torch() -> None:
    code = (
        "import sys, inception.explain.catalogue; assert not {'torch', 'numpy', 'gradio', 'typer'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize("name", DECLARED)
def test_defaults_pass_their_own_checks_and_give_plain_data(name: str, subject: Subject) -> None:
    explanation = EXPLANATIONS[name]
    arguments = {argument.name: argument.check(argument.default) for argument in explanation.arguments}
    report = explanation(subject, **arguments).to_dict()
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report == explanation(subject).to_dict()


def test_list_of_choices_rejects_duplicates() -> None:
    branches, channels = EXPLANATIONS["switch_off"].arguments[1:3]
    validator = Draft202012Validator(branches.schema)
    for value, allowed in ((["1x1", "pool"], True), ([], True), (["1x1", "1x1"], False)):
        assert validator.is_valid(value) == allowed
        with nullcontext() if allowed else pytest.raises(UserError, match="each at most once"):
            assert branches.check(value) == value
    assert channels.check([3, 3]) == [3, 3], "channel numbers may repeat"
    assert Draft202012Validator(channels.schema).is_valid([3, 3])


def test_branches_and_channels_in_another_order_and_repeated_are_the_same_question(subject: Subject) -> None:
    switch_off = EXPLANATIONS["switch_off"]
    both = switch_off(subject, block="4c", branches=["1x1", "pool"])
    assert switch_off(subject, block="4c", branches=["pool", "1x1", "pool"]) is both
    assert switch_off(subject, block="4c", channels=[3, 17]) is switch_off(subject, block="4c", channels=[17, 3, 17])


# ---------------------------------------------------------------- interfaces made from the declarations


@pytest.fixture(scope="module")
def endpoints(small_file: Path) -> dict[str, Endpoint]:
    service = InferenceService((str(small_file),), choose_device("cpu"))
    with gr.Blocks():
        return {endpoint.name: endpoint for endpoint in add_endpoints(service)}


@pytest.mark.parametrize("name", DECLARED)
def test_endpoint_takes_a_photo_a_model_and_the_declared_arguments(name: str, endpoints: dict[str, Endpoint]) -> None:
    declared, endpoint = EXPLANATIONS[name], endpoints[name]
    photo, model, *others = endpoint.arguments
    assert (photo.name, photo.required, model.name) == ("photo", True, "model")
    assert tuple(others) == declared.arguments
    assert endpoint.description.startswith(declared.summary)


def test_readme_states_the_number_of_endpoints_and_tools(endpoints: dict[str, Endpoint]) -> None:
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"lists all {len(endpoints)} with their arguments" in text
    tools = sum(endpoint.is_tool for endpoint in endpoints.values())
    assert f"`--mcp`, {tools} of them are also the tools of an MCP server" in text


def test_tools_take_the_declared_arguments(endpoints: dict[str, Endpoint]) -> None:
    tools = pytest.importorskip("inception.web.mcp.tools", reason="needs requirements-mcp.txt").tools
    listed = tools(list(endpoints.values()))
    assert {name for name in DECLARED if name in listed} == {
        explanation.name for explanation in EXPLANATIONS.values() if explanation.is_tool
    }
    for name in set(listed) & set(DECLARED):
        properties = listed[name].definition.inputSchema["properties"]
        expected = {argument.name: argument for argument in EXPLANATIONS[name].arguments}
        assert list(properties) == ["photo", "model", *expected]
        for key, argument in expected.items():
            documented = {"description": argument.sentence, "default": argument.default}
            assert properties[key] == {**argument.schema, **documented}


def test_command_line_has_an_option_for_each_explanation_or_for_its_arguments() -> None:
    options = {name.removeprefix("--") for parameter in load_command("explain").params for name in parameter.opts}
    shared = {argument.name for argument in EXPLANATIONS["branch_votes"].arguments}
    for explanation in EXPLANATIONS.values():
        own = [argument for argument in explanation.arguments if argument.name not in shared]
        lists = {argument.option or argument.name for argument in own if argument.is_list}
        assert explanation.name == "branch_votes" or (lists or {explanation.option}) <= options
        assert {
            argument.option or argument.name for argument in explanation.arguments if argument.name in shared
        } <= options


def test_command_line_gives_the_same_json(
    subject: Subject, small_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--table", "--evidence", "--cam", "--switch-off", "5x5", "--channels", "3", "--cell", "pool:1:2:3"]
    flags += ["--logit-circuit", "--circuit", "pool:1:2:3", "--occlusion", "--integrated-gradients"]
    flags += ["--faithfulness", "evidence"]
    options = ["--class", "pretzel", "--block", "4c", "--subsets", *flags]
    assert main(["explain", str(ESPRESSO), "--model", str(small_file), "--json", *options]) == 0
    output = json.loads(capsys.readouterr().out)
    values = {"block": "4c", "class_name": "pretzel", "off": "zero"}
    values |= {"branches": ["5x5"], "channels": [3], "branch": "pool", "channel": 1, "row": 2, "column": 3}
    values["method"] = "evidence"
    expected: dict[str, Any] = {"photo": str(ESPRESSO), "model": str(small_file)}
    for explanation in EXPLANATIONS.values():
        part = explanation(
            subject, **{argument.name: values[argument.name] for argument in explanation.arguments}
        ).to_dict()
        expected |= part if explanation.name == "branch_votes" else {explanation.key: part}
    assert output == expected


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
def test_library_and_endpoint_give_the_same_json(
    name: str, arguments: dict[str, Any], endpoints: dict[str, Endpoint], subject: Subject, small_file: Path
) -> None:
    photo = f"data:image/jpeg;base64,{b64encode(ESPRESSO.read_bytes()).decode()}"
    all_arguments = {argument.name: argument.default for argument in EXPLANATIONS[name].arguments} | arguments
    response = endpoints[name].function(photo, small_file.name, *all_arguments.values())
    assert response == {"model": small_file.name, **EXPLANATIONS[name](subject, **arguments).to_dict()}
