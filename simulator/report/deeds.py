"""Accesses with their place in the story: which lane, which step, and when a write became visible to the others.

What rows a statement met is read from the words that the doors record. That is good enough to prefer one story to
another, which is all that it is used for; a sentence never rests on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from simulator.trace import Access, Trace

_SET = re.compile(r"\bSET\b(.*?)(?:\bWHERE\b|\Z)", re.IGNORECASE | re.DOTALL)
_FROM_ITSELF = re.compile(r"\b(\w+)\"?\s*=[^,=]*\b\1\b", re.IGNORECASE)
_COLUMN = re.compile(r"(\w+) ('[^']*'|[^\s,]+) -> ")


@dataclass(frozen=True, slots=True)
class Deed:
    """One access, and where it stands.

    Attributes:
        step: its step, counted from 1 as schedules do.
        number: its place among the accesses of that step.
        lane: who did it.
        access: what was recorded.
        visible_at: for a write, the step in which it became visible to others; 0 for anything that never did.
    """

    step: int
    number: int
    lane: str
    access: Access
    visible_at: int = 0


def deeds_of(trace: Trace) -> list[Deed]:
    """All accesses in order; what came before the first step is set-up and no part of the story."""
    commits = {
        (trace.steps[index][0], access.transaction): index + 1
        for index, accesses in trace.accesses.items()
        for access in accesses
        if access.ends == "commit" and access.transaction and 0 <= index < len(trace.steps)
    }
    return [
        Deed(
            index + 1,
            number,
            lane,
            access,
            _visible_at(access, index + 1, commits.get((lane, access.transaction), 0)),
        )
        for index in sorted(trace.accesses)
        if 0 <= index < len(trace.steps)
        for lane in [trace.steps[index][0]]
        for number, access in enumerate(trace.accesses[index])
    ]


def _visible_at(access: Access, step: int, commit: int) -> int:
    if not wrote(access):
        return 0
    if access.transaction:
        return commit
    return step if access.ends == "commit" else 0


def wrote(access: Access) -> bool:
    """Whether a statement changed anything, as far as was recorded: one that failed or met no row did not."""
    if not access.writes or is_end(access):
        return False
    count = access.outcome.partition(" ")[0]
    return bool(access.changed) or not access.outcome or (count.isdecimal() and int(count) > 0)


def is_end(access: Access) -> bool:
    """Whether this is a COMMIT or ROLLBACK rather than a statement that commits by itself."""
    return access.ends == "rollback" or (
        access.ends == "commit" and access.sql.upper().startswith(("COMMIT", "END"))
    )


def rows_of(deed: Deed, table: str) -> frozenset[str]:
    """The rows of a table that a write changed, each as the door names it: ``payments 'p1'``."""
    start = f"{table} "
    fresh_or_gone = (f"{start}+ ", f"{start}- ")
    lines = (
        line for line in deed.access.changed if line.startswith(start) and not line.startswith(fresh_or_gone)
    )
    return frozenset(line.partition(": ")[0] for line in lines)


def columns_of(access: Access) -> frozenset[str]:
    """The columns that an UPDATE changed."""
    return frozenset(name for line in access.changed for name, _ in _COLUMN.findall(line))


def saw_what_changed(read: Deed, change: Deed, *, columns: frozenset[str] | None = None) -> bool:
    """Whether what a read gave holds the very value that a change put an end to.

    Args:
        read: what a lane knew.
        change: what another one then wrote.
        columns: those that count; all when None.
    """
    found = [pair for line in change.access.changed for pair in _COLUMN.findall(line)]
    gone = [f"{name}={value}" for name, value in found if columns is None or name in columns]
    return any(re.search(rf"\b{re.escape(text)}(?:[,;]|\Z)", read.access.outcome) for text in gone)


def mentions(deed: Deed, rows: Iterable[str]) -> bool:
    """Whether the key of one of these rows stands in what was asked or in what came back."""
    said = f"{deed.access.parameters} {deed.access.outcome}"
    keys = (row.partition(" ")[2] for row in rows)
    return any(re.search(rf"(?<!\w){re.escape(key)}(?!\w)", said) for key in keys if key)


def is_relative(access: Access) -> bool:
    """Whether an UPDATE starts from what it finds (``x = x + 1``): what was read earlier plays no part then."""
    found = _SET.search(access.sql)
    return found is not None and _FROM_ITSELF.search(found[1]) is not None
