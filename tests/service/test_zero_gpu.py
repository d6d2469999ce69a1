"""The app on Hugging Face Spaces: on ZeroGPU with a stand-in for their package `spaces`, which lends no real GPU."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.request import urlopen

import gradio as gr
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from inception import load, open_photo, predict
from inception.explain.shapley import branch_votes
from inception.service.zero_gpu import SECONDS, ZeroGpuBackend
from support.paths import EXAMPLES
from support.server import running

NET, PHOTO = "tiny-imagenet", EXAMPLES / "espresso.jpg"
SPACE = {"SYSTEM": "spaces", "SPACE_ID": "somebody/inception-lens", "GRADIO_SERVER_NAME": "127.0.0.1"}
# As the real one does it: what is decorated runs elsewhere, so all goes through pickle on its way and back.
STAND_IN = """
import json, os, pickle, sys, threading

def told(**what):
    with open(os.environ["TOLD"], "a") as file:
        file.write(json.dumps(what) + "\\n")

told(event="imported", before="torch" not in sys.modules)

class Timer(threading.Timer):
    def start(self):
        told(event="later", name=self.name)
        super().start()

threading.Timer = Timer

def gradio_auto_wrap(task):  # Gradio itself asks for it in every Space
    return task

def GPU(task=None, *, duration=None):
    if task is None:
        return lambda task: GPU(task, duration=duration)
    told(event="decorated", name=f"{task.__module__}.{task.__name__}", duration=duration)
    def lent(*arguments):
        from gradio.context import LocalContext
        request = LocalContext.request.get(None)
        what = "predict" if len(arguments) == 2 else "explain"
        told(event="lent", what=what, visitor=request and request.headers.get("x-ip-token"))
        if os.environ.get("REFUSE"):
            import gradio
            raise gradio.Error("You have exceeded your GPU quota.", print_exception=False)
        return pickle.loads(pickle.dumps(task(*pickle.loads(pickle.dumps(arguments)))))
    return lent
"""


@pytest.fixture
def stand_in(tmp_path: Path) -> dict[str, str]:
    """The environment of a Space in which `spaces` can be imported; what it is asked goes to the file TOLD."""
    (tmp_path / "packages" / "spaces").mkdir(parents=True)
    (tmp_path / "packages" / "spaces" / "__init__.py").write_text(STAND_IN)
    (tmp_path / "told").touch()
    path = os.pathsep.join(filter(None, [str(tmp_path / "packages"), os.environ.get("PYTHONPATH")]))
    return {**SPACE, "PYTHONPATH": path, "TOLD": str(tmp_path / "told")}


def told(environment: dict[str, str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(environment["TOLD"]).read_text().splitlines()]


def ask(address: str, name: str, *more: Any) -> Any:
    return Client(address, verbose=False).predict(handle_file(str(PHOTO)), NET, *more, api_name=name)


def test_on_zero_gpu_the_forward_pass_and_the_explanations_run_where_a_gpu_is_lent(stand_in: dict[str, str]) -> None:
    with running("app.py", SPACES_ZERO_GPU="true", **stand_in) as (address, _):
        first, second = told(stand_in)
        assert first == {"event": "imported", "before": True}, "torch must not be loaded before it"
        assert second == {
            "event": "decorated",
            "name": "inception.service.zero_gpu.compute_on_gpu",
            "duration": SECONDS,
        }
        answer = ask(address, "/predict", 3)
        carried = ask(address, "/branch_votes", "4c", "", "zero")
        with pytest.raises(AppError, match="has no class"):
            ask(address, "/class_evidence", "no such thing")
    seen = predict(load(), open_photo(PHOTO))
    assert [row["label"] for row in answer["top"]] == [guess.label for guess in seen.top(3)]
    assert carried["votes"] == pytest.approx(dict(branch_votes(load(), seen, "4c").votes), abs=1e-3)
    assert [row["what"] for row in told(stand_in)[2:]] == ["predict", "explain", "explain"]


def test_on_zero_gpu_no_network_is_compiled(stand_in: dict[str, str]) -> None:
    with running("app.py", SPACES_ZERO_GPU="true", **stand_in) as (address, _):
        ask(address, "/predict", 1)
    assert {"event": "later", "name": "compile"} not in told(stand_in)


def test_on_zero_gpu_a_gpu_is_lent_to_the_assistants_visitor(stand_in: dict[str, str]) -> None:
    pytest.importorskip("mcp", reason="Spaces installs it; needs requirements-mcp.txt")
    from support.mcp_client import call, photo

    with running("app.py", SPACES_ZERO_GPU="true", **stand_in) as (address, _):
        arguments = {"photo": photo(), "block": "4c"}
        result = call(
            f"{address}/gradio_api/mcp/", "inception_lens_branch_votes", arguments, headers={"X-IP-Token": "theirs"}
        )
    assert not result.isError, result.content
    assert {"event": "lent", "what": "explain", "visitor": "theirs"} in told(stand_in)


def test_where_no_gpu_is_lent_the_cpu_answers(stand_in: dict[str, str]) -> None:
    with running("app.py", SPACES_ZERO_GPU="true", REFUSE="yes", **stand_in) as (address, app):
        assert ask(address, "/predict", 1)["top"][0]["label"] == "espresso"
        assert ask(address, "/branch_votes", "4c", "", "zero")["label"] == "espresso"
    said = app.stderr.read() if app.stderr else ""
    assert "so the CPU computes: 'You have exceeded your GPU quota.'" in said
    # The stand-in has none of what Gradio reloads a Space's code with, which it says in a thread of its own.
    assert said.count("Traceback") == said.count("required to run hot-reloading in Spaces")


def test_on_other_hardware_nothing_is_lent_and_the_tools_are_there(stand_in: dict[str, str]) -> None:
    pytest.importorskip("mcp", reason="Spaces installs it; needs requirements-mcp.txt")
    with running("app.py", **stand_in) as (address, _):
        tools = json.load(urlopen(f"{address}/gradio_api/mcp/schema", timeout=60))
    assert "decorated" not in {row["event"] for row in told(stand_in)}
    assert "inception_lens_branch_votes" in {tool["name"] for tool in tools}


def test_a_visitor_without_quota_sends_no_other_visitors_photo_to_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def lent(models: Sequence[str], queries: Sequence[str]) -> list[str]:
        asked.append([*queries])
        if "without quota" in queries:
            raise gr.Error("You have exceeded your GPU quota.")
        return [f"GPU: {query}" for query in queries]

    class Local:
        def predict(self, pretrained: object, query: str) -> str:
            return f"CPU: {query}"

    def run_together(query: str) -> str:
        return backend._predict(["without quota", "with quota"])[0]

    monkeypatch.setitem(sys.modules, "spaces", SimpleNamespace(GPU=lambda duration: lambda task: lent))
    backend = ZeroGpuBackend([NET])
    monkeypatch.setattr(backend, "_local", Local())
    monkeypatch.setattr(backend, "_batcher", SimpleNamespace(submit=run_together))
    assert backend.predict(None, "with quota") == "GPU: with quota"
    assert backend.predict(None, "without quota") == "CPU: without quota"
    assert asked[1::2] == [["with quota"], ["without quota"]]
    monkeypatch.setattr(backend, "_batcher", SimpleNamespace(submit=lambda query: backend._predict([query])[0]))
    assert backend.predict(None, "without quota") == "CPU: without quota"
    assert len(asked) == 5, "a photo that was alone is not sent again"
