"""Upload the app to Hugging Face Spaces: `python scripts/space.py OWNER/NAME`, or `--dry-run` to list the files.

Uploads the tracked files through huggingface_hub, because Spaces refuses a plain git push of binaries, and deletes all
other files of the Space.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Tests, tools and project files that the app does not need.
EXCLUDED = (
    "tests/",
    "benchmarks/",
    "scripts/",
    ".ci/",
    ".dockerignore",
    ".github/",
    "requirements-dev.txt",
    "CHANGELOG.md",
    "Dockerfile",
    "Makefile",
    "pyproject.toml",
)


def files_to_upload() -> list[str]:
    """Return the tracked files, without those that only development needs."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    return sorted(name for name in listing.stdout.split("\0") if name and not name.startswith(EXCLUDED))


def main(arguments: list[str] | None = None) -> int:
    """List the files, and upload them unless this is a dry run. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("space", nargs="?", help="OWNER/NAME of the Space; created if it does not exist")
    parser.add_argument("--dry-run", action="store_true", help="only list the files")
    options = parser.parse_args(arguments)
    names = files_to_upload()
    for name in names:
        print(f"{(ROOT / name).stat().st_size:>12,}  {name}")
    total = sum((ROOT / name).stat().st_size for name in names)
    print(f"{total:>12,}  in {len(names)} files")
    if options.dry_run:
        return 0
    if not options.space:
        parser.error("name the Space as OWNER/NAME, or add --dry-run")

    from huggingface_hub import HfApi

    api = HfApi()
    try:
        api.create_repo(options.space, repo_type="space", space_sdk="gradio", exist_ok=True)
        address = api.upload_folder(
            repo_id=options.space,
            repo_type="space",
            folder_path=ROOT,
            allow_patterns=names,
            delete_patterns="*",  # except those that are uploaded, and .gitattributes
            commit_message="Update InceptionLens",
        )
    # Network, disk and hub raise many types of errors.
    except Exception as error:
        again = "If you are not logged in, run `hf auth login`; then run this again."
        print(f"The upload failed: {error}\n{again}", file=sys.stderr)
        return 1
    print(address)
    return 0


if __name__ == "__main__":
    sys.exit(main())
