"""The app on Hugging Face Spaces, with a fake of the package `spaces` that lends no real GPU."""

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

MODEL, PHOTO = "tiny-imagenet", EXAMPLES / "espresso.jpg"
SPACE = {"SYSTEM": "spaces", "SPACE_ID": "somebody/inception-lens", "GRADIO_SERVER_NAME": "127.0.0.1"}
# As with the real package, decorated functions run elsewhere, so that arguments and results are pickled.
FAKE_SPACES = """
import json, os, pickle, sys, threading

def record(**event):
    with open(os.environ["EVENTS_FILE"], "a") as file:
        file.write(json.dumps(event) + "\\n")

record(event="imported", before="torch" not in sys.modules)

class Timer(threading.Timer):
    def start(self):
        record(event="later", name=self.name)
        super().start()

threading.Timer = Timer

def gradio_auto_wrap(task):  # Gradio imports it in every Space
    return task

def GPU(task=None, *, duration=None):
    if task is None:
        return lambda task: GPU(task, duration=duration)
    record(event="decorated", name=f"{task.__module__}.{task.__name__}", duration=duration)
    def lent(*arguments):
        from gradio.context import LocalContext
        request = LocalContext.request.get(None)
        what = "predict" if len(arguments) == 2 else "explain"
        record(event="lent", what=what, visitor=request and request.headers.get("x-ip-token"))
        if os.environ.get("REFUSE"):
            import gradio
            raise gradio.Error("You have exceeded your GPU quota.", print_exception=False)
        return pickle.loads(pickle.dumps(task(*pickle.loads(pickle.dumps(arguments)))))
    return lent
"""


@pytest.fixture
def fake_spaces(tmp_path: Path) -> dict[str, str]:
    """The environment of a Space with the fake `spaces`, which records its events in EVENTS_FILE."""
    (tmp_path / "packages" / "spaces").mkdir(parents=True)
    (tmp_path / "packages" / "spaces" / "__init__.py").write_text(FAKE_SPACES)
    (tmp_path / "events").touch()
    path = os.pathsep.join(filter(None, [str(tmp_path / "packages"), os.environ.get("PYTHONPATH")]))
    return {**SPACE, "PYTHONPATH": path, "EVENTS_FILE": str(tmp_path / "events")}


def recorded_events(environment: dict[str, str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(environment["EVENTS_FILE"]).read_text().splitlines()]


def request(address: str, name: str, *arguments: Any) -> Any:
    return Client(address, verbose=False).predict(handle_file(str(PHOTO)), MODEL, *arguments, api_name=name)


def test_on_zero_gpu_predictions_and_explanations_run_on_the_lent_gpu(fake_spaces: dict[str, str]) -> None:
    with running("app.py", SPACES_ZERO_GPU="true", **fake_spaces) as (address, _):
        first, second = recorded_events(fake_spaces)
        assert first == {"event": "imported", "before": True}, "torch must not be imported before spaces"
        assert second == {
            "event": "decorated",
            "name": "inception.service.zero_gpu.compute_on_gpu",
            "duration": SECONDS,
        }
        response = request(address, "/predict", 3)
        votes = request(address, "/branch_votes", "4c", "", "zero")
        with pytest.raises(AppError, match="has no class"):
            request(address, "/class_evidence", "no such thing")
    prediction = predict(load(), open_photo(PHOTO))
    assert [row["label"] for row in response["top"]] == [guess.label for guess in prediction.top(3)]
    assert votes["votes"] == pytest.approx(dict(branch_votes(load(), prediction, "4c").votes), abs=1e-3)
    events = recorded_events(fake_spaces)[2:]
    assert [row["what"] for row in events if row["event"] == "lent"] == ["predict", "explain", "explain"]
    assert {"event": "later", "name": "compile"} not in events, "threads do not survive the fork"


def test_on_zero_gpu_a_tool_call_passes_on_the_visitors_token(fake_spaces: dict[str, str]) -> None:
    pytest.importorskip("mcp", reason="Spaces installs it; needs requirements-mcp.txt")
    from support.mcp_client import call, photo_url

    with running("app.py", SPACES_ZERO_GPU="true", **fake_spaces) as (address, _):
        arguments = {"photo": photo_url(), "block": "4c"}
        result = call(
            f"{address}/gradio_api/mcp/", "inception_lens_branch_votes", arguments, headers={"X-IP-Token": "theirs"}
        )
    assert not result.isError, result.content
    assert {"event": "lent", "what": "explain", "visitor": "theirs"} in recorded_events(fake_spaces)


def test_without_a_lent_gpu_the_cpu_computes(fake_spaces: dict[str, str]) -> None:
    with running("app.py", SPACES_ZERO_GPU="true", REFUSE="yes", **fake_spaces) as (address, app):
        assert request(address, "/predict", 1)["top"][0]["label"] == "espresso"
        assert request(address, "/branch_votes", "4c", "", "zero")["label"] == "espresso"
    stderr = app.stderr.read() if app.stderr else ""
    assert "so the CPU computes: 'You have exceeded your GPU quota.'" in stderr
    # The fake lacks what Gradio reloads a Space's code with, which Gradio reports from another thread.
    assert stderr.count("Traceback") == stderr.count("required to run hot-reloading in Spaces")


def test_on_other_hardware_no_gpu_is_lent_and_the_tools_are_available(fake_spaces: dict[str, str]) -> None:
    pytest.importorskip("mcp", reason="Spaces installs it; needs requirements-mcp.txt")
    with running("app.py", **fake_spaces) as (address, _):
        tools = json.load(urlopen(f"{address}/gradio_api/mcp/schema", timeout=60))
    assert "decorated" not in {row["event"] for row in recorded_events(fake_spaces)}
    assert "inception_lens_branch_votes" in {tool["name"] for tool in tools}


def test_a_visitor_without_quota_sends_no_other_visitors_photo_to_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = []

    def lent(models: Sequence[str], queries: Sequence[str]) -> list[str]:
        batches.append([*queries])
        if "without quota" in queries:
            raise gr.Error("You have exceeded your GPU quota.")
        return [f"GPU: {query}" for query in queries]

    class Local:
        def predict(self, pretrained: object, query: str) -> str:
            return f"CPU: {query}"

    def run_together(query: str) -> str:
        return backend._predict(["without quota", "with quota"])[0]

    monkeypatch.setitem(sys.modules, "spaces", SimpleNamespace(GPU=lambda duration: lambda task: lent))
    backend = ZeroGpuBackend([MODEL])
    monkeypatch.setattr(backend, "_local", Local())
    monkeypatch.setattr(backend, "_batcher", SimpleNamespace(submit=run_together))
    assert backend.predict(None, "with quota") == "GPU: with quota"
    assert backend.predict(None, "without quota") == "CPU: without quota"
    assert batches[1::2] == [["with quota"], ["without quota"]]
    monkeypatch.setattr(backend, "_batcher", SimpleNamespace(submit=lambda query: backend._predict([query])[0]))
    assert backend.predict(None, "without quota") == "CPU: without quota"
    assert len(batches) == 5, "a photo that was alone is not sent again"
