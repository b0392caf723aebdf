"""What one step did, as others could notice it: its footprint, known when the step is over.

Before a step there is only an announcement (``Lane.footprint``: tables, from the statement's text). What it really read
and wrote comes from whoever carried it out, and is collected on the trace while ``Trace.recording`` is set::

    trace.effects_of(step)          # Effects of trace.steps[step]; NOTHING for one that stayed within its own lane
    conflict(one, other)            # whether the order of two steps can matter

Four kinds of access, because two are not enough:

* *reads* and *writes* of named resources: a lock, a remote service, a process's memory.
* *bumps*: changes of which two commute and a read commutes with none (the version of a database, which every commit
  moves on and an upgrade of a snapshot compares).
* *looks*: reads of a table by a predicate; *rows*: images of rows that became visible, before and after. A look meets a
  row when the row has every value that the predicate asks for; a look without a predicate meets every row of its table.

A look belongs to the step whose snapshot it was served from, and rows to the commit that made them visible: at the time of
the statement, neither can be told by others (with footprints of statements an exhaustive search misses outcomes).

Whoever is not sure says more than it knows and counts it (``unsure``): two steps that conflict without need cost an
execution, two that do not and should cost the proof.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

Resource = tuple[str, ...]
Values = tuple[tuple[str, str], ...]
"""Columns with what they must equal, or have, in the canonical form of `canonical`; sorted by column."""


@dataclass(frozen=True, slots=True)
class Look:
    """A read of the rows of a table for which all of some columns have given values.

    Attributes:
        table: its name, in lower case.
        where: what is asked for; empty for the whole table.
    """

    table: str
    where: Values = ()


@dataclass(frozen=True, slots=True)
class Row:
    """A row before or after a change.

    Attributes:
        table: its name, in lower case.
        image: the values of its columns; None: not known, so every look at the table meets it.
    """

    table: str
    image: Values | None = None


@dataclass(frozen=True, slots=True)
class Effects:
    """What a step read and wrote.

    Attributes:
        reads: resources.
        writes: resources.
        bumps: resources whose changes commute with each other.
        looks: reads of tables.
        rows: images that became visible.
        took: it took the lock (there is one at most), whether or not it kept it.
        gave_back: it gave the lock back, whoever took it.
        would_wait: it took the lock, and would have waited for it.
        attempts: it wanted the lock and would not wait for it, or found it taken, or kept it beyond its statement: it matters to
            it, or to others because of it, what happens while the lock is held.
        everything: it conflicts with every other step.
        unsure: how often something was said that may not have been so.
        otherwise: what else the same step might have read and written had others moved before it or not; None: nothing.
    """

    reads: frozenset[Resource] = frozenset()
    writes: frozenset[Resource] = frozenset()
    bumps: frozenset[Resource] = frozenset()
    looks: frozenset[Look] = frozenset()
    rows: frozenset[Row] = frozenset()
    took: bool = False
    gave_back: bool = False
    would_wait: bool = False
    attempts: bool = False
    everything: bool = False
    unsure: int = 0
    otherwise: Effects | None = None

    def __or__(self, other: Effects) -> Effects:
        """All that either did."""
        if self == other or other == NOTHING:
            return self
        return Effects(
            self.reads | other.reads,
            self.writes | other.writes,
            self.bumps | other.bumps,
            self.looks | other.looks,
            self.rows | other.rows,
            self.took or other.took,
            self.gave_back or other.gave_back,
            self.would_wait or other.would_wait,
            self.attempts or other.attempts,
            self.everything or other.everything,
            max(self.unsure, other.unsure),
            self.otherwise if other.otherwise is None else other.otherwise | (self.otherwise or NOTHING),
        )

    def possible(self) -> Effects:
        """All that the step might do in another order."""
        return self if self.otherwise is None else self | self.otherwise


SHARED: Resource = ("shared",)
VERSION: Resource = ("version",)
"""Of a database: every commit moves it on."""
LOCK: Resource = ("write lock",)
"""The one lock of an engine that has one."""
CHANGES: Resource = ("changes",)
"""Written by a critical section in which a row changed, or might have; all others only looked."""
LANES: Resource = ("lanes",)
"""With the name of a process: bumped where a lane of it begins."""

NOTHING = Effects()
EVERYTHING = Effects(everything=True)


def conflict(one: Effects, other: Effects) -> bool:
    """Whether two steps, done in the other order, could have other results or leave another state."""
    if one.everything or other.everything:
        return True
    return _meets(one, other) or _meets(other, one)


def _meets(one: Effects, other: Effects) -> bool:
    if one.writes and not (
        one.writes.isdisjoint(other.reads)
        and one.writes.isdisjoint(other.writes)
        and one.writes.isdisjoint(other.bumps)
    ):
        return True
    if one.bumps and not one.bumps.isdisjoint(other.reads):
        return True
    return bool(one.rows and other.looks) and any(sees(look, row) for row in one.rows for look in other.looks)


def sees(look: Look, row: Row) -> bool:
    """Whether a look would have met a row."""
    if look.table != row.table:
        return False
    if row.image is None or not look.where:
        return True
    image = dict(row.image)
    return all(image.get(column, value) == value for column, value in look.where)


def canonical(value: Any) -> str:
    """A value so that what any engine takes for equal is equal; some that differ are as well, which is the safe side.

    Numbers that are equal, text that looks like one, letters in either case and blanks at the ends are told apart
    nowhere: affinities and collations do as much.
    """
    if value is None:
        return "null"
    if isinstance(value, bytes | bytearray | memoryview):
        return f"blob:{bytes(value).hex()}"
    text = str(int(value)) if isinstance(value, bool) else str(value).strip()
    try:
        number = int(text)
    except ValueError:
        try:
            real = float(text)
        except ValueError:
            return text.casefold()
        return str(int(real)) if real.is_integer() else repr(real)
    return str(number)


@dataclass(slots=True)
class Collected:
    """The effects of one step while they are collected."""

    reads: set[Resource] = field(default_factory=set)
    writes: set[Resource] = field(default_factory=set)
    bumps: set[Resource] = field(default_factory=set)
    looks: set[Look] = field(default_factory=set)
    rows: set[Row] = field(default_factory=set)
    took: bool = False
    gave_back: bool = False
    would_wait: bool = False
    attempts: bool = False
    everything: bool = False
    unsure: int = 0
    otherwise: Collected | None = None

    def add(
        self,
        *,
        reads: Iterable[Resource] = (),
        writes: Iterable[Resource] = (),
        bumps: Iterable[Resource] = (),
        looks: Iterable[Look] = (),
        rows: Iterable[Row] = (),
        unsure: int = 0,
    ) -> None:
        """Adds accesses."""
        self.reads.update(reads)
        self.writes.update(writes)
        self.bumps.update(bumps)
        self.looks.update(looks)
        self.rows.update(rows)
        self.unsure += unsure

    def share(self, name: str = "", *, changes: bool = True) -> None:
        """Adds a use of something that lies outside of every process and has a name; without one, of any."""
        if name:
            self.reads.add(SHARED)
            (self.writes if changes else self.reads).add((*SHARED, name))
        else:
            (self.writes if changes else self.bumps).add(SHARED)

    def might(self) -> Collected:
        """Where to add what the step did not do and might have done in another order."""
        if self.otherwise is None:
            self.otherwise = Collected()
        return self.otherwise

    def take(self, lock: Resource, *, waits: bool) -> None:
        """A lock was taken; whoever wants it now waits for it (as this step would have: ``waits``) or fails."""
        self.writes.add(lock)
        self.took = True
        self.would_wait = self.would_wait or waits
        self.attempts = self.attempts or not waits

    def give_back(self, lock: Resource) -> None:
        """A lock is free again; one that this very step took was never held between two steps."""
        self.writes.add(lock)
        self.gave_back = True

    def done(self) -> Effects:
        """As a value."""
        return Effects(
            frozenset(self.reads),
            frozenset(self.writes),
            frozenset(self.bumps),
            frozenset(self.looks),
            frozenset(self.rows),
            self.took,
            self.gave_back,
            self.would_wait,
            self.attempts,
            self.everything,
            self.unsure,
            None if self.otherwise is None else self.otherwise.done(),
        )

    def __iter__(self) -> Iterator[Resource]:
        """The resources that are named, in order, for a person to read."""
        yield from sorted(self.reads | self.writes | self.bumps)
