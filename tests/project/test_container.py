"""The Dockerfile, without a container engine: it is linted, and its steps and command run in a separate root folder.

The root folder contains this machine's system and Python, read-only. As with `docker run --read-only --tmpfs /tmp`, the
command runs as the Dockerfile's user, with a read-only root.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from docker.utils import exclude_paths
from dockerfile_parse import DockerfileParser
from gradio_client import Client, handle_file

from support.paths import EXAMPLES, ROOT
from support.server import free_port, wait_for

DOCKERFILE = ROOT / "Dockerfile"
SEARCH_PATH = f"{sys.prefix}/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Mount nothing of this machine but its system and Python. The mounts end with the command.
SET_UP = r"""
set -euo pipefail
mount -t tmpfs -o mode=755 root "$ROOT"
cd "$ROOT"
mkdir usr proc dev tmp && chmod 1777 tmp
cp -a /etc etc
for name in bin sbin lib lib64; do
  if [ -L "/$name" ]; then cp -a "/$name" . ; elif [ -d "/$name" ]; then mkdir "$name"; bind_read_only "/$name"; fi
done
bind_read_only /usr
for name in proc dev; do mount --rbind "/$name" "$name"; done
for name in $PYTHONS; do mkdir -p ".$name"; bind_read_only "$name"; done
"""
BIND_READ_ONLY = 'bind_read_only() { mount --bind "$1" "$ROOT$1"; mount -o remount,bind,ro "$ROOT$1"; }\n'


def steps() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile with their values, in order."""
    parsed = DockerfileParser(fileobj=BytesIO(DOCKERFILE.read_bytes())).structure
    return [(row["instruction"], row["value"]) for row in parsed if row["instruction"] != "COMMENT"]


def value(instruction: str) -> str:
    (only,) = [content for name, content in steps() if name == instruction]
    return only


def environment() -> dict[str, str]:
    return {**DockerfileParser(fileobj=BytesIO(DOCKERFILE.read_bytes())).envs, "PATH": SEARCH_PATH, "PIP_NO_INDEX": "1"}


def context() -> set[str]:
    """Return the files that Docker would send to the builder."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    included = exclude_paths(str(ROOT), [line for line in lines if line and not line.startswith("#")])
    return {name for name in included if (ROOT / name).is_file()}


def in_root(command: str, environment: dict[str, str], user: str = "") -> str:
    """Return a line of shell that runs `command` within the root folder."""
    variables = " ".join(shlex.quote(f"{name}={content}") for name, content in environment.items())
    user_option = f"--userspec={user} " if user else ""
    return f'chroot {user_option}"$ROOT" env -i {variables} sh -c {shlex.quote(command)}'


def script(build: Path, port: int) -> str:
    """Return the whole Dockerfile as one script: its steps, then its command."""
    lines, folder, image_variables = [BIND_READ_ONLY, SET_UP], "/", environment()
    for name, content in steps():
        if name == "WORKDIR":
            folder = content
            lines.append(f'mkdir -p "$ROOT{folder}"')
        elif name == "COPY":
            *sources, target = content.split()
            for source in sources:
                destination = f'"$ROOT{folder}/{target}"'
                copied = f"{source}/." if (build / source).is_dir() else source
                lines.append(f'mkdir -p {destination} && cp -r "{build}/{copied}" {destination}')
        elif name == "RUN":
            lines.append(in_root(f"cd {folder} && {content}", image_variables))
    lines.append('mount -o remount,ro "$ROOT"')
    user = value("USER")
    owner = dict(zip(("uid", "gid"), user.split(":"), strict=True))
    for mount_point in ("/tmp", *json.loads(value("VOLUME"))):
        options = ",".join(f"{key}={identifier}" for key, identifier in owner.items())
        lines.append(f'mount -t tmpfs -o {options} tmpfs "$ROOT{mount_point}"')
    command = shlex.join([*json.loads(value("ENTRYPOINT")), *json.loads(value("CMD"))])
    variables = {**image_variables, "GRADIO_SERVER_PORT": str(port), "GRADIO_SERVER_NAME": "127.0.0.1"}
    lines.append("exec " + in_root(f"cd {folder} && touch written 2>&1; exec {command}", variables, user))
    return "\n".join(lines)


needs_namespaces = pytest.mark.skipif(
    sys.platform != "linux"
    or os.geteuid() != 0
    or shutil.which("unshare") is None
    or subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0,
    reason="needs root, and Linux's mount namespaces",
)


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address of the app in its container, and its process, whose output begins with that of the write attempt."""
    build, root = tmp_path_factory.mktemp("context"), tmp_path_factory.mktemp("root")
    for name in context():
        (build / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, build / name)
    port = free_port()
    pythons = " ".join(dict.fromkeys([sys.base_prefix, sys.prefix]))
    app = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "bash", "-c", script(build, port)],
        env={**os.environ, "ROOT": str(root), "PYTHONS": pythons},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}", app)
        yield f"http://127.0.0.1:{port}", app
    finally:
        app.terminate()
        app.wait(60)


def test_the_linter_reports_nothing() -> None:
    run = subprocess.run(
        [Path(sys.prefix) / "bin" / "hadolint", DOCKERFILE], capture_output=True, text=True, check=False
    )
    assert run.stdout + run.stderr == ""
    assert run.returncode == 0


def test_the_builder_receives_exactly_the_files_that_are_copied() -> None:
    sources = [source for name, content in steps() if name == "COPY" for source in content.split()[:-1]]
    sent = context() - {"Dockerfile", ".dockerignore"}
    assert {
        name for name in sent if not any(name == source or name.startswith(f"{source}/") for source in sources)
    } == set()
    listed = subprocess.run(["git", "ls-files", "-z", *sources], cwd=ROOT, capture_output=True, text=True, check=True)
    tracked = set(filter(None, listed.stdout.split("\0")))
    assert {name for name in tracked - sent if not name.startswith("weights/training/")} == set()
    assert not [name for name in sent - tracked if not name.startswith("inception/")]


def test_the_image_runs_as_an_unprivileged_user() -> None:
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", value("USER")), (
        "a number, so that an engine can see that the user is not root"
    )
    names = [name for name, _ in steps()]
    assert names.index("USER") > max(number for number, name in enumerate(names) if name in ("RUN", "COPY"))
    written = [path for name, path in environment().items() if name.endswith(("HOME", "DIR")) and path != "1"]
    assert all(path.startswith(("/data", "/tmp")) for path in written)


@needs_namespaces
def test_the_app_responds_with_a_read_only_root(container: tuple[str, subprocess.Popen[str]]) -> None:
    address, app = container
    response = Client(address, verbose=False).predict(
        handle_file(str(EXAMPLES / "bison.jpg")), "tiny-imagenet", 1, api_name="/predict"
    )
    assert response["top"][0]["label"] == "bison"
    status = Path(f"/proc/{app.pid}/status").read_text()
    assert re.search(r"^Uid:\s+10001\s+10001", status, re.M), "the command runs as the Dockerfile's user"
    mounts = Path(f"/proc/{app.pid}/mounts").read_text()
    root = next(row for row in mounts.splitlines() if row.split()[0] == "root")
    assert "ro" in root.split()[3].split(",")


@needs_namespaces
def test_the_health_check_detects_a_missing_server(container: tuple[str, subprocess.Popen[str]]) -> None:
    address, _ = container
    check = json.loads(value("HEALTHCHECK").partition("CMD")[2])
    check[0] = sys.executable
    assert "/healthz" in check[-1]
    for port, expected in ((address.rpartition(":")[2], 0), (str(free_port()), 1)):
        variables = {**os.environ, "GRADIO_SERVER_PORT": port}
        assert subprocess.run(check, env=variables, capture_output=True, check=False).returncode == expected


@needs_namespaces
def test_the_folder_of_the_program_is_read_only(container: tuple[str, subprocess.Popen[str]]) -> None:
    _, app = container
    app.terminate()
    stdout, _ = app.communicate(timeout=60)
    assert "Read-only file system" in stdout
