"""``python -m tests.bench``: prints a table and writes bench.json."""

from __future__ import annotations

import argparse
import json
import logging
import platform
import sys
from pathlib import Path

from tests.bench.measure import FULL, QUICK, Measurement
from tests.bench.registry import BENCHMARKS

_OK, _INTERRUPTED = 0, 130


def main(arguments: list[str] | None = None) -> int:
    """Runs the benchmarks that were named, or all; returns the exit code. A goal that is missed is no error."""
    parser = _parser()
    given = parser.parse_args(arguments)
    unknown = [name for name in given.names if name not in BENCHMARKS]
    if unknown:
        parser.error(
            f"there is no benchmark {', '.join(map(repr, unknown))}; there are: {', '.join(BENCHMARKS)}"
        )
    if not given.json.parent.is_dir():
        parser.error(f"--json: there is no folder {given.json.parent}")
    logging.disable(logging.CRITICAL)  # the deployed code logs each lock that it did not get
    measured: list[Measurement] = []
    code = _OK
    print(f"Python {platform.python_version()}, {platform.machine()}; medians of interleaved rounds\n")
    try:
        for name in given.names or BENCHMARKS:
            for measurement in BENCHMARKS[name](QUICK if given.quick else FULL):
                measured.append(measurement)
                print(_line(measurement), flush=True)
    except KeyboardInterrupt:
        code = _INTERRUPTED
        print("interrupted: what was measured is kept", file=sys.stderr)
    given.json.write_text(
        json.dumps([each.as_json() for each in measured], indent=2) + "\n", encoding="utf-8"
    )
    print(f"\n{len(measured)} values written to {given.json}")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Measures what the simulator costs and how soon it finds #224. Takes some minutes.",
        epilog=f"benchmarks: {', '.join(BENCHMARKS)}",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks to run (default: all)")
    parser.add_argument(
        "--json", type=Path, default=Path("bench.json"), metavar="FILE", help="default: bench.json"
    )
    parser.add_argument(
        "--quick", action="store_true", help="one short round: does it run? The values say little"
    )
    return parser


def _line(measurement: Measurement) -> str:
    goal, verdict = "", ""
    if measurement.goal is not None:
        goal = str(measurement.goal)
        verdict = "meets" if measurement.goal.is_met(measurement.value) else "MISSES"
    line = f"{measurement.name:40} {measurement.value:10,.2f} {measurement.unit:11} {goal:9} {verdict}"
    return line.rstrip()


if __name__ == "__main__":
    sys.exit(main())
