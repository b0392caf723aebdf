"""What can be said on the command line, and what `--help` says: the environment's table is part of it."""

from __future__ import annotations

import argparse
from importlib.metadata import version

from reference.command import running
from reference.configuration import IN_A_FILE, VARIABLES, Variable

EXAMPLES = """\
examples:
  reference init-db                                  make or migrate the database, then leave
  reference serve & reference worker                 the service: what listens, and what works
  REFERENCE_DATABASE_URL=postgresql:///shop reference worker
  reference audit --json | jq .violations            what does not hold, for a machine
  reference audit --when always                      on a busy service: only what holds after every commit
  reference demo --keep-running                      everything on loopback, with stand-ins for the providers

exit codes:
  0  done, or told to stop and nothing was left in hand
  1  a claim is broken (audit), a step failed (demo), or work was cut off when told to stop
  2  wrong usage, wrong configuration, or a database that is away or of another age
"""


def parser() -> argparse.ArgumentParser:
    """All of it."""
    top = argparse.ArgumentParser(
        prog="reference",
        description="A service that sells subscriptions and gives, for each payment, what it bought, once.",
        epilog=f"{EXAMPLES}\nenvironment:\n{environment()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"reference {version('turnstile')}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND")

    init = commands.add_parser(
        "init-db", help="make the database's tables, or bring them to the newest revision"
    )
    init.set_defaults(run=running.init_db)

    serve = commands.add_parser("serve", help="answer HTTP until told to stop")
    serve.add_argument("--bind", metavar="HOST:PORT", help="instead of REFERENCE_BIND")
    serve.set_defaults(run=running.serve)

    worker = commands.add_parser("worker", help="work off queues and run sweeps until told to stop")
    worker.set_defaults(run=running.worker)

    audit = commands.add_parser("audit", help="ask the database whether every claim holds; writes nothing")
    audit.add_argument("--json", action="store_true", help="for a machine")
    audit.add_argument(
        "--when",
        choices=("all", "always"),
        default="all",
        help="always: leave out what holds only once nothing is under way",
    )
    audit.set_defaults(run=running.audit)

    demo = commands.add_parser(
        "demo", help="everything on loopback, with stand-ins for the providers, step by step"
    )
    demo.add_argument(
        "--keep-running", action="store_true", help="stay up afterwards, for curl, until Ctrl-C"
    )
    demo.add_argument("--port", type=int, default=8000, help="where the service listens (default: 8000)")
    demo.set_defaults(run=running.demo, own_settings=True)
    return top


def environment() -> str:
    """The table of variables, as --help shows it."""
    lines = [_line(variable) for variable in VARIABLES]
    return "\n".join(
        [
            *lines,
            "",
            "  The variables of a provider come together: with one of them set, those marked * are required. A secret (s) may be",
            f"  in a file instead, named by its variable with {IN_A_FILE} at the end. An empty variable is one that is not set.",
        ]
    )


def _line(variable: Variable) -> str:
    marks = ("s" if variable.secret else " ") + ("*" if variable.required else " ")
    default = f" [{variable.default}]" if variable.default and len(variable.default) < 45 else ""
    return f"  {variable.full_name:<33}{marks} {variable.what}{default}"
