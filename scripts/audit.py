"""Whether what is installed has known vulnerabilities: `python scripts/audit.py`, as `make test` does.

Asks a service about each package, through pip-audit, which takes the arguments. Fails if one is known to be
vulnerable. Without a network nobody can tell: then it says so and fails nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

# How pip-audit ends, with a traceback, when the service is out of reach or answers with an error of its own.
OUT_OF_REACH = ("requests.exceptions.", "pip_audit._service.interface.")


def main(arguments: Sequence[str]) -> int:
    """Print what was found; 0 unless something was, or pip-audit was asked for what it cannot do."""
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if not run.stdout:
        last = (run.stderr.strip().splitlines() or [""])[-1]
        if last.startswith(OUT_OF_REACH):
            print(f"NOT AUDITED: the service that knows vulnerabilities could not be asked ({last.split(':')[0]}).")
            return 0
        print(run.stderr, file=sys.stderr)
        return run.returncode or 1
    packages = json.loads(run.stdout)["dependencies"]
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    found = [(package, fault) for package in packages for fault in package.get("vulns", [])]
    for package, fault in found:
        mended = ", ".join(fault["fix_versions"]) or "none yet"
        print(f"{package['name']} {package['version']}: {fault['id']}, mended in: {mended}")
    audited = len(packages) - len(unknown)
    if not audited:
        print(f"NOT AUDITED: the service that was asked knows none of the {len(packages)} packages.")
    else:
        print(f"{audited} packages audited, {len(found)} vulnerabilities known.")
        if unknown:
            print(f"NOT AUDITED, as the service does not know them: {', '.join(unknown)}.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
