"""Rows of the table of events: which steps are shown, which are folded into the next one, and how dull each one is."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from simulator.report.deeds import wrote
from simulator.trace import Access, Trace

CLOCK, FAULT = "clock", "fault"  # the lanes that are nobody's: what simulator.runtime.conductor calls them
_SILENT = frozenset({"starts", "goes on"})
_RUN_SHORT = 6  # steps; in a longer run of one lane the middle is dull
_SWITCHES_FEW = 6  # that many are the story; of more, as before shrinking, most are noise
DECISIVE, MOVING, EDGE, DULL, DULLEST = range(5)


@dataclass(frozen=True, slots=True)
class Row:
    """One step, as the table shows it.

    Attributes:
        number: of the step, counted from 1.
        lane: who moved.
        point: what it was about to do.
        at_s: loop time.
        accesses: what the door recorded.
        notes: what else there is to say.
        switch: the lane took over from one that could have gone on.
        dullness: from ``DECISIVE`` to ``DULLEST``; the dullest rows go first where there are too many.
    """

    number: int
    lane: str
    point: str
    at_s: float
    accesses: tuple[Access, ...] = ()
    notes: tuple[str, ...] = ()
    switch: bool = False
    dullness: int = DULL


def rows_of_trace(trace: Trace, preemptions: int, decisive: frozenset[int]) -> list[Row]:
    """The rows of a trace.

    Args:
        trace: detailed or not.
        preemptions: how many there were.
        decisive: numbers of steps that are shown whatever else must go.
    """
    switches = _switches(trace, preemptions)
    rows: list[Row] = []
    ends = {trace.violated_at, len(trace.steps)}
    carried = folds = False
    for run in _runs(trace):
        for place, index in enumerate(run):
            lane, point, at_s = trace.steps[index]
            switch = index in switches or (folds and carried)
            accesses, notes = tuple(trace.accesses.get(index, ())), tuple(trace.notes.get(index, ()))
            silent = point in _SILENT and not accesses and not notes
            # A silent step that is a whole run stays where it is a move in the story, from or to somebody else.
            moves = place + 1 == len(run) and (switch or index + 1 in switches)
            folds = silent and not moves and index + 1 not in decisive and index + 1 not in ends
            carried = switch
            if not folds:
                few = switch and len(switches) <= _SWITCHES_FEW
                dullness = DECISIVE if few or index + 1 in decisive else _dullness(trace, run, place)
                rows.append(Row(index + 1, lane, point, at_s, accesses, notes, switch, dullness))
    return rows


def _runs(trace: Trace) -> list[list[int]]:
    """Indices of steps, together where one lane makes several in a row."""
    return [list(run) for _, run in groupby(range(len(trace.steps)), key=lambda index: trace.steps[index][0])]


def _dullness(trace: Trace, run: list[int], place: int) -> int:
    index = run[place]
    lane, point, _ = trace.steps[index]
    accesses = trace.accesses.get(index, ())
    if lane == FAULT or index + 1 in {trace.violated_at, len(trace.steps)}:
        return DECISIVE
    if lane == CLOCK or index in trace.notes or any(wrote(access) for access in accesses):
        return MOVING
    if point in _SILENT:
        return DULL
    ends = any(access.ends for access in accesses)
    return EDGE if ends or len(run) <= _RUN_SHORT or place in (0, len(run) - 1) else DULLEST


def _switches(trace: Trace, preemptions: int) -> frozenset[int]:
    """Steps whose lane took over from one that could have gone on.

    The trace counts these and does not say where they are, so it is told from what came later. A lane that waited for
    a lock or slept could not go on. One that never moved again had ended, unless the execution was cut short before
    it could: then the count says so, and the latest ones are taken.
    """
    last_move = {lane: index for index, (lane, _, _) in enumerate(trace.steps)}
    sure: list[int] = []
    perhaps: list[int] = []
    before = -1
    for index, (lane, _, at_s) in enumerate(trace.steps):
        if lane in (CLOCK, FAULT):
            continue
        if before >= 0 and trace.steps[before][0] != lane:
            waits = any(note.startswith("waits for") for note in trace.notes.get(before, ()))
            slept = at_s > trace.steps[before][2] and all(
                name != CLOCK for name, _, _ in trace.steps[before:index]
            )
            if not waits and not slept:
                (perhaps if last_move[trace.steps[before][0]] == before else sure).append(index)
        before = index
    missing = max(0, preemptions - len(sure))
    return frozenset(sure + perhaps[len(perhaps) - min(missing, len(perhaps)) :])
