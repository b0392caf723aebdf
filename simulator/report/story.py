"""A failure as a few beats: the shortest story, one line each, and the same as a Mermaid sequence diagram for documents.

The table of an incident report has everything that fits on a screen; a story has what one would tell: who read what
decided, who wrote, who took over, what went wrong on purpose. Lines of code are not in it, so it outlives edits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from simulator.report.cells import Context, outcomes, whats
from simulator.report.conflicts import conflicts, decisive_steps
from simulator.report.elision import Gap, fitting
from simulator.report.rows import CLOCK, EDGE, FAULT, MOVING, Row, rows_of_trace
from simulator.report.text import clip, printable
from simulator.report.timeline import moment
from simulator.report.words import in_words
from simulator.trace import Trace

_WHAT_WIDTH, _OUTCOME_WIDTH = 60, 40
_MERMAID_WIDTH = 70


@dataclass(frozen=True, slots=True)
class Beat:
    """One line of a story.

    Attributes:
        at: the moment, as a clock shows it; empty while it is the one before.
        lane: who moved; ``clock`` and ``fault`` are nobody's. Empty where steps were left out.
        process: whose lane it is.
        what: what was done.
        outcome: what came of it; may be empty.
        switch: the lane took over from one that could have gone on.
    """

    at: str
    lane: str
    process: str
    what: str
    outcome: str = ""
    switch: bool = False

    def __str__(self) -> str:
        if not self.lane:
            return self.what
        words = {CLOCK: "TIMER", FAULT: "FAULT"}
        came = f" -> {self.outcome}" if self.outcome else ""
        taken = " (takes over)" if self.switch else ""
        return f"{words.get(self.lane, self.lane)}: {self.what}{came}{taken}"


@dataclass(frozen=True, slots=True)
class Story:
    """What happened in a failed execution, in a few lines.

    Attributes:
        beats: in order.
        conflict: the first conflicting accesses as a sentence; empty when there are none.
    """

    beats: tuple[Beat, ...]
    conflict: str

    def lines(self) -> list[str]:
        """One line for each beat, with the moment where time has moved."""
        return [f"{beat.at}  {beat}" if beat.at else str(beat) for beat in self.beats]


def story(trace: Trace, start: datetime | None, *, beats_max: int = 16) -> Story:
    """The story of a detailed trace.

    Args:
        trace: of the shrunk execution.
        start: wall time at which the world began; None when it is not known.
        beats_max: how many lines it may have.
    """
    found = conflicts(trace)
    rows = rows_of_trace(trace, decisive_steps(trace, found))
    context = Context.of(rows)
    told = [row for row in rows if row.dullness < EDGE and not _changes_nothing(row)] or rows
    beats: list[Beat] = []
    now_s: float | None = None
    for item in fitting(told, [1] * len(told), beats_max):
        if isinstance(item, Gap):
            beats.append(Beat("", "", "", str(item)))
            continue
        at = moment(start, item.at_s, first=now_s is None) if item.at_s != now_s else ""
        now_s = item.at_s
        beats.append(_beat(item, at, trace, context))
    return Story(tuple(beats), in_words(found[0]) if found else "")


def _changes_nothing(row: Row) -> bool:
    """A write that found the row as it would have it, and that no conflict turns on."""
    return (
        row.dullness == MOVING
        and bool(row.accesses)
        and not any(access.changed for access in row.accesses)
        and not row.notes
    )


def _beat(row: Row, at: str, trace: Trace, context: Context) -> Beat:
    did = "; ".join(text for text in whats(row, _WHAT_WIDTH) if text)
    came = " ".join(line for lines in outcomes(row, _OUTCOME_WIDTH, context) for line in lines)
    if row.lane in (CLOCK, FAULT):
        did = did.removeprefix("timer ")
    came = clip(came.strip(), 2 * _OUTCOME_WIDTH)
    return Beat(at, row.lane, trace.processes.get(row.lane, ""), did, came, row.switch)


def mermaid(told: Story, verdict: str) -> str:
    """A sequence diagram: lanes on one side, the database and whatever else is outside on the other.

    Args:
        told: the story.
        verdict: what is written at its end.
    """
    lanes = list(dict.fromkeys(beat.lane for beat in told.beats if beat.lane not in ("", CLOCK, FAULT)))
    names = {lane: f"L{number}" for number, lane in enumerate(lanes)}
    lines = ["sequenceDiagram"]
    for lane in lanes:
        process = next(beat.process for beat in told.beats if beat.lane == lane)
        lines.append(f"    participant {names[lane]} as {_safe(f'{lane} ({process})' if process else lane)}")
    lines.append("    participant W as database and outside world")
    for beat in told.beats:
        lines += _arrows(beat, names, lanes)
    over = f"{names[lanes[0]]},W" if lanes else "W"
    return "\n".join([*lines, f"    Note over {over}: violated: {_safe(verdict)}"])


def _arrows(beat: Beat, names: dict[str, str], lanes: Sequence[str]) -> list[str]:
    what = beat.what.partition(" WHERE ")[0]
    text = _safe(f"{what}: {beat.outcome}" if beat.outcome else what)
    if not beat.lane or beat.lane in (CLOCK, FAULT):
        word = {CLOCK: "TIMER ", FAULT: "FAULT "}.get(beat.lane, "")
        return [f"    Note over {names[lanes[0]] if lanes else 'W'},W: {word}{text}"]
    at = [f"    Note over {names[beat.lane]}: {_safe(beat.at)}"] if beat.at else []
    reply = beat.what.startswith("reply to ")
    arrow = f"W-->>{names[beat.lane]}" if reply else f"{names[beat.lane]}->>W"
    return [*at, f"    {arrow}: {text}"]


def _safe(text: str) -> str:
    """Mermaid ends a statement at a semicolon or a hash, and would read markup in angle brackets."""
    plain = (
        printable(text)
        .replace(";", ",")
        .replace("#", " ")
        .replace("->", "to")
        .replace("<", "(")
        .replace(">", ")")
    )
    return clip(plain, _MERMAID_WIDTH)
