"""``python -m scenarios.ablations``: every guard taken away, a line for each; the exit status is 1 when one is not missed."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from scenarios.ablations.ablation import Ablation, Killed, run
from scenarios.ablations.registry import ALL, named
from scenarios.ablations.table import COUNTS, line, page, save
from simulator.database import Database
from simulator.database.server_binaries import PostgresUnavailable
from simulator.database.sqlite import SqliteDatabase


def database_of(ablation: Ablation) -> Callable[[Any], Database]:
    """Makes the engine that an ablation is about; PostgreSQL's driver and server are looked for only when wanted."""
    if ablation.engine == "postgresql":
        from simulator.database.postgresql import PostgresqlDatabase

        return PostgresqlDatabase
    return SqliteDatabase


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what the command line asks for; returns the exit status."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    if asked.executions is not None and asked.executions < 1:
        parser.error(f"--executions must be at least 1; got {asked.executions}")
    if asked.write is not None and asked.names:
        parser.error("--write makes a page of all ablations: leave the names out")
    try:
        wanted = named(asked.names)
    except LookupError as error:
        parser.error(str(error))
    if asked.list:
        for ablation in wanted:
            print(f"{ablation.name:<44}  {ablation.guard}")
        return 0
    logging.disable(logging.CRITICAL)  # the reference says what goes wrong, and here it is meant to
    found, skipped = _run_all(wanted, asked)
    survivors = [killed.ablation.name for killed in found if not killed.noticed]
    if asked.json:
        print(json.dumps([as_data(killed) for killed in found], indent=2))
    else:
        print(f"{len(found) - len(survivors)} of {len(found)} killed")
    if asked.write is not None:
        if skipped or survivors:
            print(f"no page was written: {', '.join(skipped + survivors)}", file=sys.stderr)
            return 1
        save(found)
        counts = json.loads(COUNTS.read_text(encoding="utf-8"))
        (asked.write / "ablations.md").write_text(page(counts), encoding="utf-8")
    return 1 if survivors else 0


def _run_all(wanted: Sequence[Ablation], asked: argparse.Namespace) -> tuple[list[Killed], list[str]]:
    """What was found, and the names of those for which there is no server."""
    found: list[Killed] = []
    skipped: list[str] = []
    for ablation in wanted:
        try:
            killed = run(
                ablation, executions=asked.executions, seed=asked.seed, database=database_of(ablation)
            )
        except PostgresUnavailable as reason:
            skipped.append(ablation.name)
            print(f"skipped   {ablation.name:<44}  {reason}", file=sys.stderr)
            continue
        found.append(killed)
        if not asked.json:
            print(line(killed), flush=True)
    return found, skipped


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scenarios.ablations",
        description="Takes each guard of the reference away and looks whether a scenario notices.",
        epilog=f"There are {len(ALL)}; --list names them.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these (default: all)")
    parser.add_argument("--list", action="store_true", help="say which there are, and run nothing")
    parser.add_argument("--executions", type=int, metavar="N", help="at most so many for each")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="where chance begins (default: 0)")
    parser.add_argument("--json", action="store_true", help="print a list of results and nothing else")
    parser.add_argument("--write", metavar="FOLDER", type=Path, help="make the page ablations.md there")
    return parser


def as_data(killed: Killed) -> dict[str, object]:
    """What became of one ablation, for a program."""
    ablation = killed.ablation
    return {
        "name": ablation.name,
        "guard": ablation.guard,
        "where": ablation.where,
        "alone": ablation.alone,
        "engine": ablation.engine,
        "scenario": ablation.scenario.__name__,
        "killed": killed.noticed,
        "claim": killed.by,
        "reason": killed.reason,
        "executions": killed.executions,
        "seconds": round(killed.seconds, 2),
    }


if __name__ == "__main__":
    sys.exit(main())
