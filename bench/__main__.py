"""`python -m bench`: measures every row, prints the table, exits 1 where a must was missed."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sqlite3
import sys
import tempfile
from pathlib import Path

from bench import agents, deliveries, disk, footprint, latency, screens, steps, waiting
from bench.rows import Outcome, Place, Row, measure
from bench.table import as_json, line, rendered

ROWS: list[Row] = [
    *disk.ROWS,
    *steps.ROWS,
    *agents.ROWS,
    *latency.ROWS,
    *deliveries.ROWS,
    *waiting.ROWS,
    *screens.ROWS,
    *footprint.ROWS,
]


def main() -> int:
    options = _options()
    wanted = [row for row in ROWS if not options.only or row.name in options.only]
    folder = Path(tempfile.mkdtemp(prefix="ksl-bench-", dir=options.folder))
    outcomes: list[Outcome] = []
    try:
        for row in wanted:
            outcome = measure(row, Place(folder, quick=options.quick))
            outcomes.append(outcome)
            print("  ".join(line(outcome)), file=sys.stderr, flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        print(
            json.dumps({"machine": _machine(), "rows": [as_json(outcome) for outcome in outcomes]}, indent=2)
        )
    else:
        print(_machine())
        print(rendered(outcomes))
    return 1 if any(outcome.met is False for outcome in outcomes) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures ksl beside plain sqlite3.")
    names = [row.name for row in ROWS]
    parser.add_argument("--only", action="append", choices=names, metavar="ROW", help=", ".join(names))
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, two repeats: for a look")
    parser.add_argument("--json", action="store_true", help="every value, for programs")
    parser.add_argument(
        "--folder", type=Path, default=_real_disk(), help="on the disk to measure (default: %(default)s)"
    )
    return parser.parse_args()


def _real_disk() -> Path:
    """A folder whose files reach a disk: flushing to memory would measure nothing."""
    for folder in (Path(tempfile.gettempdir()), Path("/var/tmp"), Path.cwd()):
        if _file_system(folder) not in ("tmpfs", "ramfs"):
            return folder
    return Path.cwd()


def _file_system(folder: Path) -> str:
    try:
        mounts = Path("/proc/mounts").read_text().splitlines()
    except OSError:
        return ""
    found = ("", "")
    for _, point, kind, *_ in (mount.split() for mount in mounts):
        if folder.resolve().is_relative_to(point) and len(point) > len(found[0]):
            found = (point, kind)
    return found[1]


def _machine() -> str:
    return (
        f"{platform.python_implementation()} {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, {platform.system()} {platform.machine()}"
    )


if __name__ == "__main__":
    sys.exit(main())
