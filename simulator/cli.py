"""The ``turnstile`` command. Its subcommands come from packages: the simulator knows no incidents and no services.

A package adds one with an entry point in the group ``turnstile.commands``: a function that takes argparse's subparsers
and adds its own, with ``set_defaults(run=...)``; ``run`` takes the parsed arguments and returns an exit code.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points, version

from simulator.errors import SimulatorError

GROUP = "turnstile.commands"
INTERRUPTED = 130  # what a shell reports after Ctrl-C
MISUSED = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a subcommand; returns its exit code.

    Exit codes: 0 as expected, 1 not as expected, 2 the command was used wrongly, 130 interrupted.
    """
    parser = _parser()
    given = parser.parse_args(arguments)
    if not hasattr(given, "run"):
        parser.print_help()
        return MISUSED
    try:
        return int(given.run(given))
    except (SimulatorError, LookupError) as error:
        print(f"turnstile: {error.args[0] if error.args else error}", file=sys.stderr)
        return MISUSED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader has seen enough: `turnstile incidents | head`
        sys.stderr.close()
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="turnstile",
        description="Deterministic simulation and race testing for backends that take money. Simulations themselves are "
        "pytest tests: see `pytest --help`, group turnstile.",
    )
    parser.add_argument("--version", action="version", version=f"turnstile {version('turnstile')}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        point.load()(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
