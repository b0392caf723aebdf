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


def rows_of_trace(trace: Trace, decisive: frozenset[int]) -> list[Row]:
    """The rows of a trace.

    Args:
        trace: detailed or not.
        decisive: numbers of steps that are shown whatever else must go.
    """
    switches = frozenset(trace.switches)
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
