"""``python -m tests.load``: the load run on one engine or on both; tells how it goes, prints a table, writes load.json."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import trio
from sqlalchemy import text

from reference import open_engine
from simulator.database.server import create_database, drop_database, server_url
from tests.load.plan import Plan, full
from tests.load.run import Outcome, run

HOLDS, BROKEN, INTERRUPTED = 0, 1, 130
ENGINES = ("postgresql", "sqlite")


def main(arguments: list[str] | None = None) -> int:
    """Run, print, write; returns the exit code: 0 all is as the stand-ins know it, 1 it is not."""
    given = _parser().parse_args(arguments)
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # also where a shell started us in the background, deaf to Ctrl-C
        signal.signal(number, signal.default_int_handler)
    outcomes = []
    try:
        for engine in given.engine or ENGINES:
            plan = replace(full(engine, given.deliveries), seed=given.seed)
            if given.kill_every is not None:
                plan = replace(plan, kill_every_s=given.kill_every)
            outcomes.append(on_engine(plan, folder=given.logs))
            print(_table(outcomes[-1]), flush=True)
    except KeyboardInterrupt:
        print("interrupted; nobody is left behind", file=sys.stderr)
        return INTERRUPTED
    finally:
        written = {outcome.plan.engine: outcome.numbers for outcome in outcomes}
        given.json.write_text(json.dumps(written, indent=2, default=str) + "\n", encoding="utf-8")
    return BROKEN if any(outcome.wrong for outcome in outcomes) else HOLDS


def on_engine(plan: Plan, *, folder: Path | None = None) -> Outcome:
    """One run, on a database that is made for it and goes with it.

    Args:
        plan: what to do.
        folder: for logs, which stay; without one they go.
    """
    with tempfile.TemporaryDirectory(prefix="turnstile-load-", ignore_cleanup_errors=True) as temporary:
        logs = folder / plan.engine if folder is not None else Path(temporary)
        logs.mkdir(parents=True, exist_ok=True)
        say = partial(print, flush=True)
        if plan.engine == "sqlite":
            return trio.run(partial(run, plan, url=f"sqlite:///{temporary}/load.db", folder=logs, say=say))
        server = server_url()
        url = create_database(server, "turnstile_load")
        try:
            trio.run(_as_in_production, url)
            return trio.run(partial(run, plan, url=url, folder=logs, say=say))
        finally:
            drop_database(server, "turnstile_load")


async def _as_in_production(url: str) -> None:
    """The private server is set up for simulations: there nobody but the harness may break a deadlock."""
    engine = open_engine(url)
    async with engine.begin() as connection:
        name = (await connection.execute(text("SELECT current_database()"))).scalar_one()
        for setting, value in (("deadlock_timeout", "1s"), ("synchronous_commit", "on")):
            await connection.execute(text(f"ALTER DATABASE \"{name}\" SET {setting} = '{value}'"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.load",
        description="Real processes of the reference under load, with faults around them and workers that are killed.",
    )
    parser.add_argument("--engine", action="append", choices=ENGINES, help="only this one; may be repeated")
    parser.add_argument("--deliveries", type=int, default=10_000, help="to our webhooks (default: 10000)")
    parser.add_argument(
        "--kill-every",
        type=float,
        metavar="S",
        help="SIGKILL a worker so often (default: 5, or 12 with one); 0: never",
    )
    parser.add_argument("--seed", type=int, default=1, help="of the dice (default: 1)")
    parser.add_argument(
        "--json", type=Path, default=Path("load.json"), help="where to write (default: load.json)"
    )
    parser.add_argument("--logs", type=Path, help="keep the processes' logs here")
    return parser


def _table(outcome: Outcome) -> str:
    lines = [f"\n{outcome.plan.engine}"]
    for name, value in outcome.numbers.items():
        if name not in ("engine", "wrong"):
            lines.append(f"  {name.replace('_', ' '):<24}{_cell(value)}")
    lines += [f"  WRONG: {what}" for what in outcome.wrong[:20]]
    lines.append(
        f"  {len(outcome.wrong)} things are not as the stand-ins know them"
        if outcome.wrong
        else "  all is as the stand-ins know it"
    )
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {number}" for key, number in value.items()) or "-"
    return str(value)


if __name__ == "__main__":
    sys.exit(main())
