"""Install and run the app in a clean environment as Hugging Face Spaces does, and send it a photo.

Copies the files that `scripts/space.py` would upload into an empty folder, creates a virtual environment, installs the
front matter's Gradio and requirements.txt, runs app.py with Spaces' environment variables, loads the page, sends a
photo through its API, and stops. Takes minutes and gigabytes, mostly for PyTorch.
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
from space import ROOT, files_to_upload

TIMEOUT_SECONDS = 300
PHOTO = "examples/espresso.jpg"
# Runs in the new environment.
CLIENT_SCRIPT = """
import json, sys
from gradio_client import Client, handle_file
client = Client(sys.argv[1], verbose=False)
prediction = client.predict(handle_file(sys.argv[2]), "tiny-imagenet", 3, api_name="/predict")
endpoints = client.view_api(return_format="dict")["named_endpoints"]
print(json.dumps({"endpoints": len(endpoints), "top": prediction["top"]}))
"""


def front_matter(folder: Path) -> dict[str, Any]:
    """Return the settings for Spaces at the top of README.md."""
    settings: dict[str, Any] = yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---")[1])
    return settings


def copy(folder: Path) -> int:
    """Copy the files that would be uploaded; return their number."""
    names = files_to_upload()
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return len(names)


def install(folder: Path, front: dict[str, Any]) -> Path:
    """Create an environment as Spaces does; return the path of its Python."""
    version = front["python_version"]
    python = shutil.which(f"python{version}")
    if python is None:
        raise SystemExit(f"The front matter requires Python {version}, which is not installed here.")
    environment = folder / "environment"
    subprocess.run([python, "-m", "venv", environment], check=True)
    environment_python = environment / "bin" / "python"
    for requirements in (
        [f"gradio[oauth,mcp]=={front['sdk_version']}", "spaces"],
        ["-r", str(folder / "space" / "requirements.txt")],
    ):
        subprocess.run(
            [environment_python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements],
            check=True,
        )
    return environment_python


def variables(folder: Path, port: int) -> dict[str, str]:
    """Return the environment variables of an app on Spaces, with a new home folder."""
    inherited = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG")}
    return {
        **inherited,
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
    """Wait until the page is served; return the seconds that it took."""
    begin = time.monotonic()
    while time.monotonic() - begin < TIMEOUT_SECONDS:
        if app.poll() is not None:
            raise SystemExit(f"app.py ended with status {app.returncode}; see its output above.")
        try:
            with urlopen(address, timeout=10) as page:
                if b"InceptionLens" in page.read():
                    return time.monotonic() - begin
        except (URLError, TimeoutError, ConnectionError):
            pass
        time.sleep(0.5)
    raise SystemExit("The page did not start.")


def predict_with_app(python: Path, app_folder: Path, environment: dict[str, str]) -> dict[str, Any]:
    """Run the app and send it a photo; return its prediction and the number of endpoints."""
    address = f"http://127.0.0.1:{environment['GRADIO_SERVER_PORT']}"
    app = subprocess.Popen([python, "app.py"], cwd=app_folder, env=environment)
    try:
        print(f"page served after {wait_for(address, app):.1f} s", flush=True)
        client = subprocess.run(
            [python, "-c", CLIENT_SCRIPT, address, app_folder / PHOTO],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
    finally:
        app.terminate()
        app.wait(60)
    result: dict[str, Any] = json.loads(client.stdout.splitlines()[-1])
    return result


def main(arguments: list[str] | None = None) -> int:
    """Run all steps. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, help="of an existing environment, to skip the installation")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="empty folder to work in, which is not deleted")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        (folder / "home").mkdir(parents=True)
        print(f"{copy(folder / 'space')} files copied", flush=True)
        front = front_matter(folder / "space")
        begin = time.monotonic()
        python = options.python or install(folder, front)
        print(f"installed in {time.monotonic() - begin:.0f} s: {python}", flush=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        result = predict_with_app(python, folder / "space", variables(folder, port))
    first = result["top"][0]
    print(f"{result['endpoints']} endpoints; {PHOTO}: {first['label']} {first['probability']:.1%}")
    return 0 if first["label"] == Path(PHOTO).stem else 1


if __name__ == "__main__":
    sys.exit(main())
