"""`scripts/audit.py`, with the real pip-audit and a local vulnerability service."""

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

VULNERABILITY = {
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


class FakeOsv(BaseHTTPRequestHandler):
    """Responds like OSV with the vulnerabilities of a version of a package; version 0.0.0 gets status 500."""

    def do_POST(self) -> None:
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = json.dumps({"vulns": [VULNERABILITY]} if query["package"]["name"] == "pillow" else {}).encode()
        self.send_response(200 if query["version"] != "0.0.0" else 500)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeOsv)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/query"
    server.shutdown()
    server.server_close()


def audit(folder: Path, service: str, *packages: str) -> subprocess.CompletedProcess[str]:
    requirements = folder / "wanted.txt"
    requirements.write_text("\n".join(packages))
    options = ("-r", requirements, "--no-deps", "--disable-pip", "--vulnerability-service", "osv", "--osv-url", service)
    return subprocess.run(
        [sys.executable, "scripts/audit.py", *map(str, options)], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_a_known_vulnerability_is_reported_and_fails_the_audit(tmp_path: Path, service: str) -> None:
    run = audit(tmp_path, service, "pillow==11.3.0", "gradio==6.31.0")
    assert run.returncode == 1
    assert "pillow 11.3.0: TEST-2026-1, fixed in: 12.0.1" in run.stdout
    assert "2 packages audited, 1 vulnerabilities known." in run.stdout


def test_packages_without_known_vulnerabilities_pass(tmp_path: Path, service: str) -> None:
    run = audit(tmp_path, service, "gradio==6.31.0")
    assert (run.returncode, run.stdout) == (0, "1 packages audited, 0 vulnerabilities known.\n")


@pytest.mark.parametrize("version", ["11.3.0", "0.0.0"], ids=["unreachable", "status 500"])
def test_an_unavailable_service_is_reported_without_failing(tmp_path: Path, service: str, version: str) -> None:
    run = audit(tmp_path, service if version == "0.0.0" else "http://127.0.0.1:9/v1/query", f"pillow=={version}")
    assert run.returncode == 0
    assert "NOT AUDITED" in run.stdout
    assert "Traceback" not in run.stdout + run.stderr


def test_an_unknown_option_of_pip_audit_is_an_error() -> None:
    run = subprocess.run(
        [sys.executable, "scripts/audit.py", "--no-such-option"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert "unrecognized arguments" in run.stderr
