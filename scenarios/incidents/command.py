"""``turnstile incidents``: every variant of every incident, run, with its verdict."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from scenarios.incidents.catalogue import NAMES, incident, incidents
from scenarios.incidents.judging import Judgement, judge
from scenarios.incidents.pages import write_page
from scenarios.incidents.table import table
from scenarios.incidents.variants import Incident
from simulator import SimulatorError
from simulator.database.sqlite import SqliteDatabase


def add_to(commands: Any) -> None:
    """Adds the subcommand to ``turnstile``."""
    parser = commands.add_parser(
        "incidents",
        help="run the documented incidents: as deployed, each proposed fix, the reference; and print the verdicts",
        description="Runs every variant of an incident (the code as it was deployed, each fix that was proposed, the "
        "reference) against the same scenario and prints who is violated, by which claim and in which story, and who "
        "holds, shown how. Exits with 1 when a verdict is not what the variant says of itself.",
        epilog="examples: turnstile incidents; turnstile incidents triple_sms; turnstile incidents --json",
    )
    parser.add_argument("name", nargs="*", metavar="NAME", help=f"one of: {', '.join(NAMES)} (default: all)")
    parser.add_argument("--json", action="store_true", help="a list of objects, one for each variant")
    parser.add_argument("--executions", type=_positive, metavar="N", help="executions for each variant")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="where chance begins (default: %(default)s)"
    )
    parser.add_argument(
        "--database", choices=("sqlite", "postgresql"), default="sqlite", help="engine (default: %(default)s)"
    )
    parser.add_argument("--database-url", metavar="URL", help="a PostgreSQL server instead of a private one")
    parser.add_argument(
        "--write",
        type=Path,
        metavar="DIR",
        help="write a page for each incident into this folder, and pin the stories beside its code",
    )
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """The subcommand.

    Raises:
        LookupError: there is no such incident.
    """
    chosen = [incident(name) for name in given.name] if given.name else incidents()
    judged: list[Judgement] = []
    interrupted = False
    try:
        judged.extend(_judgements(chosen, given))
    except KeyboardInterrupt:
        interrupted = True
    _clear()
    if given.write is not None and not interrupted:
        for one in chosen:
            path = write_page(one, [each for each in judged if each.incident == one.name], given.write)
            print(f"wrote {path}", file=sys.stderr)
    if given.json:
        print(json.dumps([judgement.as_data() for judgement in judged], indent=2, ensure_ascii=False))
    else:
        print("\n".join(table(chosen, judged, stories=bool(given.name))))
    if interrupted:
        total = sum(len(one.variants) for one in chosen)
        print(f"interrupted after {len(judged)} of {total} variants", file=sys.stderr)
        return 130
    return 0 if all(judgement.as_expected for judgement in judged) else 1


def _judgements(chosen: Sequence[Incident], given: argparse.Namespace) -> Iterator[Judgement]:
    # What the code under test logs belongs to executions that nobody looks at; replaying one shows it.
    logging.getLogger().addHandler(logging.NullHandler())
    variants = [(one, variant) for one in chosen for variant in one.variants]
    for number, (one, variant) in enumerate(variants, 1):
        _progress(f"{number} of {len(variants)}: {one.name}, {variant.name}")
        if variant.specification.schema is not None and given.database not in variant.specification.engines:
            continue  # its claims are about the other engine
        try:
            yield judge(one, variant, executions=given.executions, seed=given.seed, database=_database(given))
        except SimulatorError as error:
            raise SimulatorError(f"{one.name}, {variant.name}: {error}") from error


def _database(given: argparse.Namespace) -> Any:
    if given.database == "postgresql":
        from simulator.database.postgresql import PostgresqlDatabase

        return partial(PostgresqlDatabase, url=given.database_url)
    return SqliteDatabase


def _progress(text: str) -> None:
    """On a terminal, one line that is written over; a log gets none."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _clear() -> None:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, got {text!r}")
    return number
