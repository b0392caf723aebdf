"""One line for each exploration, for the end of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.report.text import counted, printable

if TYPE_CHECKING:
    from simulator.exploration import Exploration

_VERDICT_WIDTH = len("violated")


def summary_line(verdict: str, test: str, result: Exploration, replay: str = "") -> str:
    """What became of one exploration.

    Args:
        verdict: ``holds``, ``found``, ``violated``, ``missed`` or ``vacuous``.
        test: its node id.
        result: the exploration.
        replay: the command that replays what was found; left out when empty.
    """
    parts = [f"{test}: {_covered(result)} in {result.seconds:.1f} s"]
    if result.unreached:
        parts.append(f"never reached {', '.join(result.unreached)}")
    if result.failure is not None and result.outcome is not None:
        outcome = result.outcome
        sizes = {"step": len(outcome.trace.steps), "switch": outcome.preemptions, "fault": outcome.faults}
        size = ", ".join(counted(count, what) for what, count in sizes.items())
        parts.append(f"{result.failure.name}, shrunk to {size}")
    line = f"{verdict:<{_VERDICT_WIDTH}}  {printable('; '.join(parts))}"
    return f"{line}\n{'':<{_VERDICT_WIDTH}}  {printable(replay)}" if replay else line


def _covered(result: Exploration) -> str:
    """What was covered, in the search's own words; of a failure, which execution showed it."""
    if result.failure is not None:
        return f"execution {result.executions}"
    counts = "execution" in result.claim or "schedule" in result.claim
    return (
        result.claim if counts else f"{result.claim}, {counted(result.executions, 'execution')}".lstrip(", ")
    )
