"""``python -m tests.bench.peers``: the same programs under this project, frontrun and simloom; writes peers.json.

Each cell runs in a process of its own with a time limit. What was imported is frozen for the collector on all sides:
without that, peers spend most of a short run collecting.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import subprocess
import sys
import time
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.peers.programs import PROGRAMS, SQL_PROGRAMS, Program, SqlProgram
from tests.bench.peers.result import Result

FINDERS = ("turnstile drawn", "turnstile bounded", "frontrun", "simloom")
PROVERS = ("turnstile exhaustive", "frontrun", "simloom")
PACKAGES = ("turnstile", "frontrun", "simloom")
SEEDS = 5  # of a search that draws; the median is told
NO_DATABASE = "simloom"  # it has no door for a driver's statements: they would be one atomic step
LIMIT_S = 60.0


def main(arguments: list[str] | None = None) -> int:
    """Runs the table, or one cell; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.peers", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument(
        "--json", type=Path, default=Path("peers.json"), metavar="FILE", help="default: peers.json"
    )
    parser.add_argument(
        "--limit", type=float, default=LIMIT_S, metavar="S", help="seconds per cell (default: 60)"
    )
    parser.add_argument(
        "--cell", nargs=2, metavar=("TOOL", "PROGRAM"), help="run one cell and print it as JSON"
    )
    given = parser.parse_args(arguments)
    if given.cell:
        print(json.dumps(asdict(_cell(*given.cell, limit_s=given.limit))))
        return 0
    missing = [tool for tool in PACKAGES if not _is_there(tool)]
    if missing:
        print(f"not installed: {', '.join(missing)}; run `tox -e bench-peers`", file=sys.stderr)
        return 2
    rows = []
    for program in (*PROGRAMS, *SQL_PROGRAMS):
        expected = "holds" if program.correct else "violated"
        print(f"\n{program.name} ({expected})")
        for tool in PROVERS if program.correct else FINDERS:
            result = _in_a_process(tool, program, given.limit)
            rows.append({"program": program.name, "expected": expected, "tool": tool, **asdict(result)})
            print(_line(tool, result, expected), flush=True)
    versions = {tool: version(tool) for tool in PACKAGES}
    given.json.write_text(
        json.dumps({"versions": versions, "python": sys.version.split()[0], "rows": rows}, indent=2) + "\n",
        encoding="utf-8",
    )
    print(f"\n{len(rows)} cells written to {given.json}")
    return 0


def _line(tool: str, result: Result, expected: str) -> str:
    wrong = " WRONG" if result.said in ("holds", "violated") and result.said != expected else ""
    note = f"  ({result.note})" if result.note else ""
    return (
        f"  {tool:20} {result.said + wrong:22} {result.executions:7,} executions {result.seconds:8.3f} s{note}"
    ).rstrip()


def _in_a_process(tool: str, program: Program | SqlProgram, limit_s: float) -> Result:
    if tool == NO_DATABASE and isinstance(program, SqlProgram):
        return Result("cannot run it", 0, 0.0, "no door for a driver's statements")
    python = [str(Path(sys.executable).with_name("frontrun"))] if tool == "frontrun" else []
    command = [*python, sys.executable, "-m", "tests.bench.peers", "--limit", str(limit_s), "--cell", tool]
    try:
        done = subprocess.run(
            [*command, program.name], capture_output=True, text=True, timeout=limit_s + 10, check=False
        )
    except subprocess.TimeoutExpired:
        return Result("no answer in time", 0, limit_s)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        return Result("cannot run it", 0, 0.0, last[:200])
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return Result(**found)


def _cell(tool: str, name: str, *, limit_s: float) -> Result:
    """One tool, one program: a search where it is wrong, a proof where it is right."""
    package, _, search = tool.partition(" ")
    side: Any = importlib.import_module(f"tests.bench.peers.with_{package}")
    program = next(one for one in (*PROGRAMS, *SQL_PROGRAMS) if one.name == name)
    run = side.on_sqlite if isinstance(program, SqlProgram) else side.in_memory
    gc.collect()
    gc.freeze()
    how: dict[str, Any] = {"search": search} if search else {"prove": program.correct}
    found: list[Result] = []
    began = time.perf_counter()
    for seed in range(1 if program.correct else SEEDS):
        found.append(run(program, limit_s=limit_s, seed=seed, **how))
        if found[-1].said != "violated" or time.perf_counter() - began > limit_s / 2:
            break
    middle = sorted(found, key=lambda result: (result.said == "violated", result.executions))[len(found) // 2]
    return replace(middle, seconds=median(result.seconds for result in found))


def _is_there(tool: str) -> bool:
    try:
        version(tool)
    except PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
