"""Finds the pairs of accesses that make a failure's story: who read what, who changed it, who went on regardless.

It knows tables, rows as far as the doors show them, and when a write became visible: at its transaction's commit, and
never when that was rolled back. It does not understand what code computed, so it never says *why*: a conflict is
recorded facts in their order, and rows and columns only decide which one is told first.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, product
from typing import Literal

from simulator.report.deeds import (
    Deed,
    columns_of,
    deeds_of,
    is_relative,
    mentions,
    rows_of,
    saw_what_changed,
    wrote,
)
from simulator.trace import Trace

Kind = Literal["overwritten", "both", "stale"]
# An execution that goes round in circles has more; then the last changes count, and what soon followed them.
_CHANGES_MAX = 1_000
_ACTS_MAX = 20


@dataclass(frozen=True, slots=True)
class Conflict:
    """Accesses of two lanes that got in each other's way.

    Attributes:
        kind: ``overwritten`` (read, changed by another, written over), ``both`` (two read the same state before
            either wrote it, and both wrote) or ``stale`` (read, changed by another, acted all the same).
        table: what was read and changed.
        reads: one deed; for ``both`` one of each lane, in order.
        change: the write that came after the reads.
        acts: what was written all the same; for ``both`` one deed of each lane, in order.
        strength: how far the rows support the story; the greater, the sooner it is told.
        undisturbed: for ``both``, whether nobody wrote the table at all between the reads.
    """

    kind: Kind
    table: str
    reads: tuple[Deed, ...]
    change: Deed
    acts: tuple[Deed, ...]
    strength: int
    undisturbed: bool = True

    @property
    def deeds(self) -> tuple[Deed, ...]:
        """All accesses that it is made of, in order."""
        places = {(deed.step, deed.number): deed for deed in (*self.reads, self.change, *self.acts)}
        return tuple(places[place] for place in sorted(places))

    @property
    def lanes(self) -> frozenset[str]:
        """The two lanes."""
        return frozenset(deed.lane for deed in self.deeds)


def conflicts(trace: Trace, *, most: int = 3) -> list[Conflict]:
    """The most telling conflicts of a detailed trace, the most telling first.

    Two lanes have one story: what else happened between them follows from it.

    Args:
        trace: of a detailed execution; without accesses there are no conflicts.
        most: how many at most.
    """
    log = _Log.of(trace)
    found = [*_one_sided(log), *_two_sided(log)]
    found.sort(key=lambda conflict: (-conflict.strength, conflict.deeds[0].step, conflict.change.step))
    told: dict[frozenset[str], Conflict] = {}
    for conflict in found:
        told.setdefault(conflict.lanes, conflict)
    return list(told.values())[:most]


def decisive(trace: Trace, found: Sequence[Conflict]) -> list[Deed]:
    """The accesses of the first conflicts, and the last write, in order."""
    writes = [deed for deed in deeds_of(trace) if wrote(deed.access)]
    deeds = [deed for conflict in found[:2] for deed in conflict.deeds] + writes[-1:]
    places = {(deed.step, deed.number): deed for deed in deeds}
    return [places[place] for place in sorted(places)]


def decisive_steps(trace: Trace, found: Sequence[Conflict]) -> frozenset[int]:
    """Numbers of the steps that a story cannot do without."""
    steps = [deed.step for deed in decisive(trace, found)]
    return frozenset(steps + [conflict.change.visible_at for conflict in found[:1]])


@dataclass(slots=True)
class _Log:
    """Deeds by who and what; it changes while it is made and is left alone after that."""

    lanes: list[str] = field(default_factory=list)
    reads: dict[tuple[str, str], list[Deed]] = field(default_factory=dict)
    writes: dict[str, list[Deed]] = field(default_factory=dict)
    acts: dict[str, list[Deed]] = field(default_factory=dict)

    @classmethod
    def of(cls, trace: Trace) -> _Log:
        log = cls()
        for deed in deeds_of(trace):
            if deed.lane not in log.lanes:
                log.lanes.append(deed.lane)
            if deed.visible_at:
                log.acts.setdefault(deed.lane, []).append(deed)
                for table in deed.access.writes:
                    log.writes.setdefault(table, []).append(deed)
            elif not deed.access.writes:
                for table in deed.access.reads:
                    log.reads.setdefault((deed.lane, table), []).append(deed)
        return log

    def changes(self) -> Iterator[tuple[str, Deed, str]]:
        """Each visible write, its table, and each lane that it may have surprised."""
        for table in sorted(self.writes):
            for change, lane in product(self.writes[table][-_CHANGES_MAX:], self.lanes):
                if lane != change.lane:
                    yield table, change, lane

    def last_read(self, lane: str, table: str, before: int) -> Deed | None:
        """What a lane knew of a table at some step."""
        reads = self.reads.get((lane, table), [])
        at = bisect_left(reads, before, key=lambda deed: deed.step)
        return reads[at - 1] if at else None

    def acts_on(self, read: Deed, after: int = 0) -> list[Deed]:
        """What a lane wrote after it read, and what became visible after some step."""
        acts = self.acts.get(read.lane, [])
        later = islice(acts, bisect_left(acts, read.step + 1, key=lambda deed: deed.step), None)
        return list(islice((act for act in later if act.visible_at > after), _ACTS_MAX))

    def knew_better(self, read: Deed, table: str, since: int, act: Deed) -> bool:
        """Whether a lane looked again before it acted; the same answer in the same transaction is a snapshot's."""
        again = self.last_read(read.lane, table, act.step)
        if again is None or again.step <= since:
            return False
        one, other = read.access, again.access
        return not (0 != one.transaction == other.transaction and one.outcome == other.outcome)

    def undisturbed(self, table: str, first: Deed, last: Deed) -> bool:
        """Whether a table was in the same committed state at two reads, with nothing written and not yet visible."""
        return not any(
            write.visible_at > first.step and write.step < last.step for write in self.writes.get(table, [])
        )


def _one_sided(log: _Log) -> Iterator[Conflict]:
    """A lane read, another one changed that, and the first one went on."""
    for table, change, lane in log.changes():
        read = log.last_read(lane, table, change.visible_at)
        if read is None:
            continue
        since = change.visible_at
        acts = [act for act in log.acts_on(read, since) if not log.knew_better(read, table, since, act)]
        if not acts:
            continue
        seen = mentions(read, rows_of(change, table))
        yield Conflict("stale", table, (read,), change, (acts[0],), seen + saw_what_changed(read, change))
        over = next((act for act in acts if _writes_over(act, change, table)), None)
        if over is not None:
            yield Conflict("overwritten", table, (read,), change, (over,), _loss(read, change, over))


def _loss(read: Deed, change: Deed, over: Deed) -> int:
    """How plainly an update was lost: at best the value that was read, changed and written over is one and the same."""
    if not over.access.changed:
        # The same values once more: 100 + 30 from a stale 100, or a status that both set. A row that both did change
        # is the better story then.
        return 6 if saw_what_changed(read, change) else 3
    common = columns_of(over.access) & columns_of(change.access)
    return 9 if saw_what_changed(read, change, columns=common) else 4 if common else 3


def _writes_over(act: Deed, change: Deed, table: str) -> bool:
    """Whether a write hit the row that another one had changed, and did not start from what it found there."""
    if table not in act.access.writes or is_relative(act.access):
        return False
    rows = rows_of(change, table)
    # The same values once more change nothing that can be shown, and are the plainest lost update of all.
    return bool(rows & rows_of(act, table)) or (not act.access.changed and mentions(act, rows))


def _two_sided(log: _Log) -> Iterator[Conflict]:
    """Two lanes read the same state before either wrote it, and both wrote."""
    for table, change, lane in log.changes():
        theirs = log.last_read(lane, table, change.visible_at)
        own = log.last_read(change.lane, table, change.step)
        if theirs is None or own is None:
            continue
        first, last = sorted((theirs, own), key=lambda deed: deed.step)
        same_state = log.undisturbed(table, first, last)
        certain = _both_met(first, last, change, table)
        if change.step < last.step or not (same_state or certain):
            continue
        since = change.visible_at
        acts = [act for act in log.acts_on(theirs) if not log.knew_better(theirs, table, since, act)]
        pair = _same_thing_twice(acts, log.acts_on(own))
        if pair is not None:
            strength = 3 + 2 * pair[2] + certain + (first.access.outcome == last.access.outcome)
            yield Conflict("both", table, (first, last), change, pair[:2], strength, same_state)


def _both_met(first: Deed, last: Deed, change: Deed, table: str) -> bool:
    """Whether both reads asked for the row that was changed, and got the value that the change put an end to."""
    reads, rows = (first, last), rows_of(change, table)
    same_question = first.access.parameters == last.access.parameters != ""
    asked = same_question or all(mentions(read, rows) for read in reads)
    return asked and all(saw_what_changed(read, change) for read in reads)


def _same_thing_twice(ones: list[Deed], others: list[Deed]) -> tuple[Deed, Deed, bool] | None:
    """The first row that both changed; else the first table that both wrote."""
    coarse: tuple[Deed, Deed, bool] | None = None
    for one, other in product(ones, others):
        for table in one.access.writes:
            if table not in other.access.writes:
                continue
            first, last = sorted((one, other), key=lambda deed: deed.step)
            if rows_of(one, table) & rows_of(other, table):
                return first, last, True
            coarse = coarse or (first, last, False)
    return coarse
