"""Do in a clean environment what Hugging Face Spaces would do, and ask the page that comes of it.

Copies the files that `scripts/space.py` would send into an empty folder, makes a new virtual environment, installs
the front matter's Gradio and requirements.txt, runs app.py with Spaces' variables, looks at the page, sends a photo
through its API, and stops. Takes minutes and gigabytes, most of them PyTorch's.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import yaml
from space import ROOT, files_to_send

PATIENCE_SECONDS = 300
PHOTO = "examples/espresso.jpg"
# Runs in the new environment.
ASK = """
import json, sys
from gradio_client import Client, handle_file
client = Client(sys.argv[1], verbose=False)
told = client.predict(handle_file(sys.argv[2]), "tiny-imagenet", 3, api_name="/predict")
print(json.dumps({"endpoints": len(client.view_api(return_format="dict")["named_endpoints"]), "top": told["top"]}))
"""


def front_matter(folder: Path) -> dict[str, Any]:
    """What README.md tells Spaces."""
    told: dict[str, Any] = yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---")[1])
    return told


def copy(folder: Path) -> int:
    """The files that would be sent; returns how many."""
    names = files_to_send()
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return len(names)


def install(folder: Path, front: dict[str, Any]) -> Path:
    """A new environment as Spaces makes it; returns its Python."""
    wanted = front["python_version"]
    python = shutil.which(f"python{wanted}")
    if python is None:
        raise SystemExit(f"The front matter asks for Python {wanted}, which is not installed here.")
    environment = folder / "environment"
    subprocess.run([python, "-m", "venv", environment], check=True)
    own = environment / "bin" / "python"
    for wanted in (
        [f"gradio[oauth,mcp]=={front['sdk_version']}", "spaces"],
        ["-r", str(folder / "space" / "requirements.txt")],
    ):
        subprocess.run([own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted], check=True)
    return own


def variables(folder: Path, port: int) -> dict[str, str]:
    """The environment in which Spaces runs an app, with a home of its own."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG")}
    return {
        **kept,
        "HOME": str(folder / "home"),
        "SYSTEM": "spaces",
        "SPACE_ID": "check/inception-lens",
        "SPACE_HOST": "check-inception-lens.hf.space",
        "SPACE_AUTHOR_NAME": "check",
        "SPACE_REPO_NAME": "inception-lens",
        "SPACE_TITLE": "InceptionLens",
        "GRADIO_SERVER_NAME": "0.0.0.0",
        "GRADIO_SERVER_PORT": str(port),
    }


def wait_for(address: str, app: subprocess.Popen[bytes]) -> float:
    """Until the page is there; returns the seconds that it took."""
    begin = time.monotonic()
    while time.monotonic() - begin < PATIENCE_SECONDS:
        if app.poll() is not None:
            raise SystemExit(f"app.py ended with status {app.returncode}; what it said stands above.")
        try:
            with urlopen(address, timeout=10) as page:
                if b"InceptionLens" in page.read():
                    return time.monotonic() - begin
        except (URLError, TimeoutError, ConnectionError):
            pass
        time.sleep(0.5)
    raise SystemExit("The page did not come up.")


def ask(python: Path, app_folder: Path, environment: dict[str, str]) -> dict[str, Any]:
    """Run the app and send it a photo; returns what it answered."""
    address = f"http://127.0.0.1:{environment['GRADIO_SERVER_PORT']}"
    app = subprocess.Popen([python, "app.py"], cwd=app_folder, env=environment)
    try:
        print(f"the page is served after {wait_for(address, app):.1f} s", flush=True)
        told = subprocess.run(
            [python, "-c", ASK, address, app_folder / PHOTO],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
    finally:
        app.terminate()
        app.wait(60)
    answered: dict[str, Any] = json.loads(told.stdout.splitlines()[-1])
    return answered


def main(arguments: list[str] | None = None) -> int:
    """Do all of it. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, help="of an environment that is installed already, for a quick look")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="an empty folder to do it in, which stays")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        (folder / "home").mkdir(parents=True)
        print(f"{copy(folder / 'space')} files copied", flush=True)
        front = front_matter(folder / "space")
        begin = time.monotonic()
        python = options.python or install(folder, front)
        print(f"installed in {time.monotonic() - begin:.0f} s: {python}", flush=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        answered = ask(python, folder / "space", variables(folder, port))
    first = answered["top"][0]
    print(f"{answered['endpoints']} endpoints; {PHOTO}: {first['label']} {first['probability']:.1%}")
    return 0 if first["label"] == Path(PHOTO).stem else 1


if __name__ == "__main__":
    sys.exit(main())
