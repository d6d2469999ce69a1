"""Check the installed packages for known vulnerabilities: `python scripts/audit.py`, as `make test` does.

Runs pip-audit with the given arguments, which queries a service about each package. Exits with status 1 if a package is
vulnerable. If the service is unavailable, prints that and exits with status 0.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

# Exceptions in the last line of pip-audit's traceback if the service is unreachable or responds with an error.
UNAVAILABLE = ("requests.exceptions.", "pip_audit._service.interface.")


def main(arguments: Sequence[str]) -> int:
    """Print the vulnerabilities. Returns the exit status: 0 without any, or pip-audit's if it rejects the arguments."""
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if not run.stdout:
        last_line = (run.stderr.strip().splitlines() or [""])[-1]
        if last_line.startswith(UNAVAILABLE):
            print(f"NOT AUDITED: the vulnerability service is unavailable ({last_line.split(':')[0]}).")
            return 0
        print(run.stderr, file=sys.stderr)
        return run.returncode or 1
    packages = json.loads(run.stdout)["dependencies"]
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    found = [(package, vulnerability) for package in packages for vulnerability in package.get("vulns", [])]
    for package, vulnerability in found:
        fixed = ", ".join(vulnerability["fix_versions"]) or "none yet"
        print(f"{package['name']} {package['version']}: {vulnerability['id']}, fixed in: {fixed}")
    audited = len(packages) - len(unknown)
    if not audited:
        print(f"NOT AUDITED: the service knows none of the {len(packages)} packages.")
    else:
        print(f"{audited} packages audited, {len(found)} vulnerabilities known.")
        if unknown:
            print(f"NOT AUDITED, as the service does not know them: {', '.join(unknown)}.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
