"""The cells of the table of events: what a step did, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simulator.report.deeds import columns_of, is_end, wrote
from simulator.report.rows import CLOCK, FAULT, Row
from simulator.report.statements import statement
from simulator.report.text import clip, printable, shorten_rows, wrap
from simulator.trace import Access

_LINES_PER_OUTCOME = 2
_CHANGES_PER_ACCESS = 3
_ACCESSES_PER_STEP = 3


@dataclass(frozen=True, slots=True)
class Context:
    """What one must know of the other rows to tell what came of a step.

    Attributes:
        telling: names of columns that some statement changes.
        effective: transactions, with their lanes, that changed something.
    """

    telling: frozenset[str]
    effective: frozenset[tuple[str, int]]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Context:
        """Of all rows, shown or not."""
        writes = [(row.lane, access) for row in rows for access in row.accesses if wrote(access)]
        return cls(
            frozenset(name for _, access in writes for name in columns_of(access)),
            frozenset((lane, access.transaction) for lane, access in writes),
        )


def whats(row: Row, width: int) -> list[str]:
    """What a step did, a text for each access; a step without any is what its point says."""
    if row.lane in (CLOCK, FAULT) or not row.accesses:
        return [clip(printable(row.point), width)]
    points = [row.point, *[""] * _ACCESSES_PER_STEP]
    shown = row.accesses[:_ACCESSES_PER_STEP]
    return [statement(access, point, width) for access, point in zip(shown, points, strict=False)]


def outcomes(row: Row, width: int, context: Context) -> list[list[str]]:
    """What came of a step, some lines for each access; what else there is to say follows the last one."""
    waits = any(note.startswith("waits for") for note in row.notes)
    shown = row.accesses[:_ACCESSES_PER_STEP]
    # The error that tells the door to wait is not one that the code under test sees.
    found = [[] if waits else _outcome(access, row.lane, width, context) for access in shown] or [[]]
    if len(row.accesses) > len(shown):
        found[-1] += wrap(f"and {len(row.accesses) - len(shown)} more statements", width)
    for note in row.notes:
        found[-1] += wrap(note, width, lines_max=_LINES_PER_OUTCOME)
    return [lines or [""] for lines in found]


def _outcome(access: Access, lane: str, width: int, context: Context) -> list[str]:
    if is_end(access):
        if (lane, access.transaction) not in context.effective:
            return []
        return wrap("undone" if access.ends == "rollback" else "now visible to others", width)
    texts = [_unprefixed(line, access) for line in access.changed[:_CHANGES_PER_ACCESS]]
    if not texts:
        texts = [shorten_rows(access.outcome, width * _LINES_PER_OUTCOME, context.telling)]
    if len(access.changed) > _CHANGES_PER_ACCESS:
        texts.append(f"and {len(access.changed) - _CHANGES_PER_ACCESS} more rows")
    if access.ends == "commit" and wrote(access):
        texts[-1] += " (committed)"
    return [line for text in texts for line in wrap(text, width, lines_max=_LINES_PER_OUTCOME) if line]


def _unprefixed(line: str, access: Access) -> str:
    """A changed row without the name of its table, where the statement beside it has just said that."""
    return line.removeprefix(f"{access.writes[0]} ") if len(access.writes) == 1 else line
