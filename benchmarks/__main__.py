"""Run all benchmarks, each file in its own process: `make bench`, or `python -m benchmarks [NAME ...]`.

Prints a table, and writes that of all files to `benchmarks/results/latest.json`. Exits with status 1 if a ratio is
above its bound.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from .measure import Row, machine, run_file

FILES = ("forward", "answer", "explain", "classroom", "start", "transfer", "page", "training", "serving")
RESULTS = Path(__file__).parent / "results" / "latest.json"


def as_json(machine: str, rows: Sequence[Row]) -> str:
    """Format the results of a run as JSON."""
    entries = [
        {"name": row.name, "ratio": round(row.ratio, 4), "bound": round(row.bound, 4)}
        | {"spread": [round(end, 4) for end in row.spread]}
        | ({} if row.limit is None else {"limit": round(row.limit, 4)})
        for row in rows
    ]
    return json.dumps({"machine": machine, "rows": entries}, indent=2) + "\n"


def results_file(files: Sequence[str], wanted: Path | None) -> Path | None:
    """Return the file for the results of some of `FILES`: the committed one only if they are all."""
    return wanted or (RESULTS if set(files) == set(FILES) else None)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", metavar="NAME", help=f"of {', '.join(FILES)}")
    parser.add_argument("--out", type=Path, help=f"file to write the results to (default, for all files: {RESULTS})")
    options = parser.parse_args(arguments)
    for unknown in set(options.files) - set(FILES):
        parser.error(f"there is no file {unknown!r}; choose from {', '.join(FILES)}")
    files = options.files or FILES
    print(machine())
    rows: list[Row] = []
    # Settings of the process, such as those of the memory allocator, must not affect the next file.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as processes:
        for file in files:
            for row in processes.submit(run_file, file).result():
                print(row, flush=True)
                rows.append(row)
    if (out := results_file(files, options.out)) is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(as_json(machine(), rows))
    return int(any(row.ratio > row.bound for row in rows))


if __name__ == "__main__":
    sys.exit(main())
