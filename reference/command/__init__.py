"""The command ``reference``: it reads the environment, runs one subcommand, and says in one line why it cannot."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from reference.ports import Clock, wall_clock

DONE, MISUSED, INTERRUPTED = 0, 2, 130  # 130 is what a shell reports after Ctrl-C

__all__ = ["main"]


def main(
    arguments: Sequence[str] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    clock: Clock = wall_clock,
) -> int:
    """Run a subcommand.

    Args:
        arguments: of the command line; `sys.argv`'s unless given.
        environment: `os.environ` unless given.
        clock: unix seconds; a load run starts processes whose clock is ahead.

    Returns:
        The exit code: 0, 1 or 2 as ``reference --help`` says, 130 after Ctrl-C.
    """
    try:
        # Here and not above: they need the extra, and whoever has not got it should read a sentence.
        from reference.command.arguments import parser
        from reference.command.running import CannotStartError
        from reference.configuration import ConfigurationError, settings_from
    except ModuleNotFoundError as missing:
        return _cannot(f"it needs {str(missing.name).split('.')[0]}: pip install 'turnstile[reference]'")
    top = parser()
    given = top.parse_args(arguments)
    if not hasattr(given, "run"):
        top.print_help()
        return MISUSED
    try:
        # A subcommand that brings its own configuration (the demo) says so.
        settings = None if getattr(given, "own_settings", False) else settings_from(environment or os.environ)
        return int(given.run(given, settings, clock))
    except ConfigurationError as error:
        return _cannot("\n  ".join(["the configuration is not complete:", *error.problems]))
    except CannotStartError as error:
        return _cannot(str(error))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader has seen enough: `reference audit | head`
        sys.stderr.close()
        return DONE


def _cannot(why: str) -> int:
    print(f"reference: {why}", file=sys.stderr)
    return MISUSED
