"""Documentation of the endpoints in "Use via API" and for Gradio's clients: types, descriptions and runnable code."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import re
import shlex
import shutil
import subprocess
from typing import Any

import httpx
import pytest
from hf_gradio.cli import predict
from jsonschema import Draft202012Validator
from playwright.sync_api import Page, expect

from support.endpoints import ENDPOINTS
from support.paths import EXAMPLES
from support.visitor import ApiVisit

PHOTO, NET = EXAMPLES / "espresso.jpg", "tiny-imagenet"


@pytest.fixture(scope="module")
def info(page_address: str) -> dict[str, Any]:
    return httpx.get(f"{page_address}gradio_api/info", timeout=60).raise_for_status().json()["named_endpoints"]


def code_of(info: dict[str, Any], name: str, language: str) -> str:
    return info[name]["code_snippets"][language]


# ---------------------------------------------------------------- types and descriptions


@pytest.mark.parametrize("name", ENDPOINTS)
def test_each_argument_has_a_type_and_its_own_description(info: dict[str, Any], name: str) -> None:
    descriptions = []
    for row in info[name]["parameters"]:
        Draft202012Validator.check_schema(row["type"])
        description = row["type"]["description"]
        assert re.fullmatch(r"[A-Z0-9].{9,}[.]", description)
        assert row["python_type"]["description"] == description
        descriptions.append(description)
    assert len(set(descriptions)) == len(descriptions)
    for row in info[name]["returns"]:
        Draft202012Validator.check_schema(row["type"])
        if row["component"] == "Json":
            assert row["type"]["type"] in ("object", "array")
            assert len(row["type"]["description"]) > 10


def test_types_declare_the_allowed_values(info: dict[str, Any]) -> None:
    types = {row["parameter_name"]: row["type"] for row in info["/switch_off"]["parameters"]}
    Draft202012Validator(types["channels"]).validate([3, 17])
    for value in ({"foo": "bar"}, ["3"], [-1], [0] * 1025):
        assert not Draft202012Validator(types["channels"]).is_valid(value)
    assert types["branches"]["items"]["enum"] == ["1x1", "3x3", "5x5", "pool"]
    assert NET in types["model"]["enum"]


def test_openapi_has_the_same_descriptions(page_address: str, info: dict[str, Any]) -> None:
    paths = httpx.get(f"{page_address}gradio_api/openapi.json", timeout=60).json()["paths"]
    for name in ENDPOINTS:
        (path,) = [path for path in paths if path.endswith(f"/call/v2{name}")]
        schema = paths[path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        Draft202012Validator.check_schema(schema)
        descriptions = {argument: row["description"] for argument, row in schema["properties"].items()}
        assert descriptions == {row["parameter_name"]: row["type"]["description"] for row in info[name]["parameters"]}


# ---------------------------------------------------------------- runnable code


@pytest.mark.parametrize("name", ENDPOINTS)
def test_the_python_code_runs(info: dict[str, Any], name: str) -> None:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code_of(info, name, "python"), name, "exec"), {})
    assert len(printed.getvalue()) > 10


@pytest.mark.parametrize("name", ENDPOINTS)
def test_the_command_runs(info: dict[str, Any], name: str) -> None:
    """Run it in this process, as Gradio's command takes seconds to start."""
    command = shlex.split(code_of(info, name, "cli"))
    assert command[:2] == ["{command}", "predict"]  # the page fills in the command's name
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        predict(*command[2:])
    assert len(json.loads(printed.getvalue())) == len(info[name]["returns"])


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize("name", ENDPOINTS)
def test_the_curl_code_runs(info: dict[str, Any], name: str) -> None:
    code = code_of(info, name, "bash")
    run = subprocess.run(["bash", "-c", code], capture_output=True, text=True, timeout=120, check=True)
    event, data = re.search(r"event: (\w+)\ndata: (.*)\n", run.stdout).groups()  # type: ignore[union-attr]
    assert event == "complete", data
    assert len(json.loads(data)) == len(info[name]["returns"])


@pytest.mark.parametrize("name", ENDPOINTS)
def test_the_javascript_code_sends_the_same_arguments(info: dict[str, Any], name: str) -> None:
    """Compare it with the Python code, as running it would need Node and Gradio's package."""
    code = code_of(info, name, "javascript")
    arguments = re.search(rf'client\.predict\("{name}", {{\n(.*)}}\);', code, re.S)[1]  # type: ignore[index]
    values = dict(re.findall(r"^  (\w+): (.*),$", arguments, re.M))
    javascript = {}
    for argument, value in values.items():
        file = re.fullmatch(r"handle_file\((.*)\)", value)
        javascript[argument] = json.loads(file[1] if file else value)
        if file:
            assert httpx.get(javascript[argument], timeout=60).content == PHOTO.read_bytes()
    call = next(
        node
        for node in ast.walk(ast.parse(code_of(info, name, "python")))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "predict"
    )
    python = {
        keyword.arg: ast.literal_eval(keyword.value.args[0] if isinstance(keyword.value, ast.Call) else keyword.value)
        for keyword in call.keywords
        if keyword.arg != "api_name"
    }
    assert javascript == python
    assert ("handle_file }" in code) == ("handle_file(" in code)


def test_code_has_the_address_of_its_request(page_address: str) -> None:
    """It is not cached from another client's request."""

    def python_code(**headers: str) -> str:
        response = httpx.get(f"{page_address}gradio_api/info", headers=headers, timeout=60)
        return response.json()["named_endpoints"]["/predict"]["code_snippets"]["python"]

    assert "https://lens.example/gradio_api/file=" in python_code(**{"X-Forwarded-Host": "lens.example"}).replace(
        "http:", "https:"
    )
    assert 'Client("http://other.example")' in python_code(Host="other.example")
    assert f'Client("{page_address.rstrip("/")}")' in python_code()


# ---------------------------------------------------------------- in the browser


NETWORK = "Which network classifies the photo, as `models` lists them."  # description of an argument


@pytest.mark.browser
def test_the_code_shown_on_the_page_runs(api_visit: ApiVisit) -> None:
    page = api_visit.page
    for name in ("predict", "switch_off", "bottleneck_cost"):
        shown = shown_code(page, name)
        assert f'api_name="/{name}"' in shown
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(shown, name, "exec"), {})
        assert len(printed.getvalue()) > 10
    assert page.locator(".desc").filter(has_text=NETWORK).count() > 0


@pytest.mark.browser
def test_the_page_shows_only_our_descriptions(api_visit: ApiVisit, info: dict[str, Any]) -> None:
    page = api_visit.page
    for language in ("JavaScript", "Python", "cURL"):
        page.locator(".snippet", has_text=language).click()
        endpoints = page.locator(".endpoint-container")
        expect(endpoints).to_have_count(len(ENDPOINTS))
        expect(page.locator(".counts")).to_contain_text(f"{len(ENDPOINTS)} API endpoints")
        for endpoint in endpoints.all():
            name = endpoint.locator("h3 .post").inner_text().strip()
            parameters, returns = info[name]["parameters"], info[name]["returns"]
            descriptions = [row["python_type"]["description"] for row in parameters]
            results = [row["type"].get("description") or f"{row['label']}." for row in returns]
            expect(endpoint.locator("p.desc")).to_have_text([*descriptions, *results])


@pytest.mark.browser
def test_the_copied_documentation_has_only_our_descriptions(api_visit: ApiVisit) -> None:
    page = api_visit.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator(".snippet", has_text="Python").click()
    page.get_by_role("button", name="Copy Page").click()
    expect(page.get_by_text("Copied Python Docs!")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert f"- {NETWORK}" in copied
    assert not re.search("value that (is provided|appears)", copied)


@pytest.mark.browser
def test_without_an_mcp_server_no_mcp_tool_is_listed(api_visit: ApiVisit) -> None:
    page = api_visit.page
    page.locator(".snippet", has_text="MCP").click()
    expect(page.locator(".counts")).to_contain_text("0 MCP Tools")
    page.locator(".snippet", has_text="Python").click()
    expect(page.locator(".counts")).to_contain_text(f"{len(ENDPOINTS)} API endpoints")


@pytest.mark.browser
@pytest.mark.parametrize("view", ["api", "settings"])
def test_gradios_page_opens_the_requested_view_and_links_back(
    api_visit: ApiVisit, page_address: str, view: str
) -> None:
    page = api_visit.page
    page.goto(f"{page_address}?view={view}")
    expect(page.locator(".api-docs")).to_be_visible(timeout=30_000)
    assert page.url == f"{page_address}?view={view}"
    link = page.get_by_role("link", name="InceptionLens", include_hidden=True)
    assert link.evaluate("link => link.href") == page_address
    page.goto(page_address)
    expect(page.locator("[data-stage=block]")).to_be_attached(timeout=30_000)
    assert page.locator(".api-docs").count() == 0


def shown_code(page: Page, name: str) -> str:
    block = page.locator("code", has_text=re.compile(rf'api_name="/{name}"')).first
    return block.locator("pre").inner_text().replace("\xa0", " ")
