"""Print the line coverage of each package of inception/: `coverage_table.py <coverage.json`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import PurePath


def table(report: dict[str, dict[str, dict[str, dict[str, int]]]]) -> list[str]:
    """Return the table's rows, from coverage.py's JSON report."""
    lines: Counter[str] = Counter()
    covered: Counter[str] = Counter()
    for name, file in report["files"].items():
        parts = PurePath(name).parts
        for package in (parts[1] if len(parts) > 2 else "(top)", "all"):
            lines[package] += file["summary"]["num_statements"]
            covered[package] += file["summary"]["covered_lines"]
    return [
        f"{'package':12} {'lines':>6} {'covered':>8}",
        *(
            f"{package:12} {lines[package]:6} {covered[package] / max(1, lines[package]):8.1%}"
            for package in sorted(lines, key=lambda package: (package == "all", package))
        ),
    ]


if __name__ == "__main__":
    print("\n".join(table(json.load(sys.stdin))))
