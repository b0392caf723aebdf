"""The incident report: what a failing test shows. One screen, to be read in a minute at three in the morning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from simulator.report.conflicts import Conflict, conflicts, decisive, decisive_steps
from simulator.report.deeds import Deed
from simulator.report.rows import CLOCK, rows_of_trace
from simulator.report.text import Line, clip, counted, paint, paragraph, printable
from simulator.report.timeline import Table, timeline
from simulator.report.words import in_words

if TYPE_CHECKING:
    from simulator.execution import Outcome
    from simulator.oracles import Failure
    from simulator.trace import Trace

_LINES_MAX = 50  # a terminal on half a screen
_TABLE_LINES_MIN = 14  # what the table gets however much the rest has to say
_WIDTH_MIN = 60
_SITES_MAX = 6
_CHOICES_MAX = 6
_DETAILS_MAX = 6


@dataclass(frozen=True, slots=True)
class Facts:
    """What the report says and the execution does not know.

    Attributes:
        test: its node id.
        database: the engine.
        found_at: the number of the execution that failed.
        executions: how many there were to be, or were made.
        shrunk_in: how many executions the shrinker used; 0 when it had nothing to do.
        minimal: why no shorter story exists; empty when that is not known.
        replay: the exact command line.
        claim: what the invariant claims, in words; may be empty.
        start: the wall time at which the world began, with a zone; None when it is not known.
    """

    test: str
    database: str
    found_at: int
    executions: int
    shrunk_in: int
    minimal: str
    replay: str
    claim: str = ""
    start: datetime | None = None


def incident_report(
    failure: Failure, outcome: Outcome, facts: Facts, *, width: int = 120, colour: bool = False
) -> str:
    """The report, 50 lines or a little more, never above 60, and none longer than ``width`` but the command that replays it.

    Args:
        failure: what failed.
        outcome: the shrunk execution, replayed in detail.
        facts: how it was found.
        width: columns of the terminal; at least 60 are used.
        colour: whether to add ANSI colours.
    """
    width = max(width, _WIDTH_MIN)
    trace = outcome.trace
    found = conflicts(trace)
    deeds = decisive(trace, found)
    top = _headline(failure, outcome, facts, width)
    bottom = [*_stories(found, width), *_sites(deeds, width), *_choices(trace, width)]
    bottom += [(), (("replay: " + printable(facts.replay), "heading"),)]
    steps = decisive_steps(trace, found)
    rows = rows_of_trace(trace, steps)
    verdict = (
        f"violated here: {failure.name}" if failure.kind == "violation" else f"ended here: {failure.name}"
    )
    room = max(_TABLE_LINES_MIN, _LINES_MAX - len(top) - len(bottom) - 1)
    table = Table(trace, facts.start, printable(verdict))
    events = [(), *timeline(rows, table, width=width, room=room)] if rows else []
    return paint([*top, *events, *bottom], colour=colour)


def _headline(failure: Failure, outcome: Outcome, facts: Facts, width: int) -> list[Line]:
    lines = paragraph(f"{failure.name}: {failure.reason}", width, indent=0, style="alarm", lines_max=4)
    details = [line for detail in failure.details for line in detail.splitlines()]
    for line in details[:_DETAILS_MAX]:
        indent = " " * (4 + len(line) - len(line.lstrip(" ")))
        lines.append(((clip(indent + printable(line), width), ""),))
    if len(details) > _DETAILS_MAX:
        lines.append(((f"    and {counted(len(details) - _DETAILS_MAX, 'line')} more", ""),))
    if facts.claim:
        lines += paragraph(f"claimed: {facts.claim}", width, lines_max=2)
    lines += paragraph(_circumstances(outcome, facts), width, lines_max=3)
    if facts.minimal:
        lines += paragraph(facts.minimal, width, lines_max=2)
    return lines


def _circumstances(outcome: Outcome, facts: Facts) -> str:
    of = f" of {facts.executions}" if facts.executions > facts.found_at else ""
    on = f" on {facts.database}" if facts.database else ""
    timers = sum(lane == CLOCK for lane, _, _ in outcome.trace.steps)
    early = f" ({counted(timers, 'early timer')} included)" if timers else ""
    parts = [f"execution {facts.found_at}{of}{on}"]
    parts += [f"shrunk in {facts.shrunk_in}"] if facts.shrunk_in else []
    parts += [counted(outcome.preemptions, "switch") + early, counted(outcome.faults, "fault")]
    parts += [facts.test] if facts.test not in facts.replay else []  # said once is enough: it is long
    return ", ".join(parts)


def _stories(found: Sequence[Conflict], width: int) -> list[Line]:
    if not found:
        return []
    lines: list[Line] = [(), (("conflict" if len(found) == 1 else "conflicts", "heading"),)]
    for number, conflict in enumerate(found):
        lines += paragraph(in_words(conflict), width, lines_max=3 if number else 6)
    return lines


def _sites(deeds: Sequence[Deed], width: int) -> list[Line]:
    """Where the code stands, each line once; a name that an editor can open comes first."""
    texts: dict[str, str] = {}
    steps: dict[str, list[int]] = {}
    for deed in deeds:
        site = deed.access.site
        if site is not None:
            place = printable(f"{site.path}:{site.line}")
            texts[place] = printable(f"{site.function}: {site.text}")
            steps.setdefault(place, []).append(deed.step)
    if not texts:
        return []
    places = list(texts)[:_SITES_MAX]
    numbers = {
        place: "step " + ", ".join(str(step) for step in dict.fromkeys(steps[place])) for place in places
    }
    place_width, number_width = max(map(len, places)), max(map(len, numbers.values()))
    lines: list[Line] = [(), (("where", "heading"),)]
    for place in places:
        before = f"  {place:<{place_width}}  {numbers[place]:<{number_width}}  "
        lines.append(((clip(before + texts[place], width), ""),))
    return lines


def _choices(trace: Trace, width: int) -> list[Line]:
    """The data and faults that are not the plainest."""
    chosen = [f"{name} = {value}" for name, value in trace.choices if value]
    if not chosen:
        return []
    more = [f"and {len(chosen) - _CHOICES_MAX} more"] if len(chosen) > _CHOICES_MAX else []
    return [
        (),
        *paragraph("choices: " + ", ".join(chosen[:_CHOICES_MAX] + more), width, indent=0, lines_max=2),
    ]
