"""`scripts/audit.py` with the real pip-audit and a service on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from support.paths import ROOT

FAULT = {
    "id": "TEST-2026-1",
    "summary": "It can be made to do what it should not.",
    "affected": [
        {
            "package": {"name": "pillow", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "12.0.1"}]}],
            "versions": ["11.3.0"],
        }
    ],
}


class Service(BaseHTTPRequestHandler):
    """OSV's way of answering: which vulnerabilities a version of a package has."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        told = json.dumps({"vulns": [FAULT]} if asked["package"]["name"] == "pillow" else {}).encode()
        self.send_response(200 if asked["version"] != "0.0.0" else 500)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/query"
    server.shutdown()
    server.server_close()


def audit(folder: Path, service: str, *packages: str) -> subprocess.CompletedProcess[str]:
    wanted = folder / "wanted.txt"
    wanted.write_text("\n".join(packages))
    only = ("-r", wanted, "--no-deps", "--disable-pip", "--vulnerability-service", "osv", "--osv-url", service)
    return subprocess.run(
        [sys.executable, "scripts/audit.py", *map(str, only)], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_a_known_vulnerability_fails_the_run_and_is_named(tmp_path: Path, service: str) -> None:
    run = audit(tmp_path, service, "pillow==11.3.0", "gradio==6.31.0")
    assert run.returncode == 1
    assert "pillow 11.3.0: TEST-2026-1, mended in: 12.0.1" in run.stdout
    assert "2 packages audited, 1 vulnerabilities known." in run.stdout


def test_packages_without_one_pass(tmp_path: Path, service: str) -> None:
    run = audit(tmp_path, service, "gradio==6.31.0")
    assert (run.returncode, run.stdout) == (0, "1 packages audited, 0 vulnerabilities known.\n")


@pytest.mark.parametrize("version", ["11.3.0", "0.0.0"], ids=["nobody there", "an error of its own"])
def test_who_cannot_ask_says_so_and_fails_nothing(tmp_path: Path, service: str, version: str) -> None:
    run = audit(tmp_path, service if version == "0.0.0" else "http://127.0.0.1:9/v1/query", f"pillow=={version}")
    assert run.returncode == 0
    assert "NOT AUDITED" in run.stdout
    assert "Traceback" not in run.stdout + run.stderr


def test_what_pip_audit_does_not_understand_is_a_failure() -> None:
    run = subprocess.run(
        [sys.executable, "scripts/audit.py", "--no-such-option"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert "unrecognized arguments" in run.stderr
