"""Makes a long table fit: the dullest rows go, and a counted line says what went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from simulator.report.rows import DECISIVE, DULLEST, Row
from simulator.report.text import counted, printable

_MISFITS_MAX = 20  # rows that were tried in vain, one after the other, before the table counts as full


@dataclass(frozen=True, slots=True)
class Gap:
    """Rows that are not shown."""

    rows: tuple[Row, ...]

    def __str__(self) -> str:
        lanes = list(dict.fromkeys(row.lane for row in self.rows))
        who = ", ".join(lanes[:3]) + (f" and {counted(len(lanes) - 3, 'other')}" if len(lanes) > 3 else "")
        points = Counter(row.point for row in self.rows).most_common()
        what = ", ".join(f"{count} x {point}" if count > 1 else point for point, count in points[:3])
        more = ", ..." if len(points) > 3 else ""
        return printable(f"... {counted(len(self.rows), 'more step')} of {who}: {what}{more}")


def fitting(rows: Sequence[Row], sizes: Sequence[int], room: int) -> list[Row | Gap]:
    """The rows that fit into some lines, with the others counted in gaps.

    Args:
        rows: all of them, in order.
        sizes: how many lines each one takes.
        room: lines; each gap takes one, and so does a moment at which time has moved.
    """
    if _lines(rows, sizes, set(range(len(rows)))) <= room:
        return list(rows)
    decisive = [at for at, row in enumerate(rows) if row.dullness == DECISIVE]
    shown = set(decisive)
    if _lines(rows, sizes, shown) > room:
        return _with_gaps(rows, _both_ends(rows, sizes, decisive, room))
    misfits = 0
    for at in _by_interest(rows):
        if _lines(rows, sizes, shown | {at}) <= room:
            shown.add(at)
            misfits = 0
        else:
            misfits += 1
            if misfits > _MISFITS_MAX:
                break
    return _with_gaps(rows, shown)


def _by_interest(rows: Sequence[Row]) -> list[int]:
    """The other rows, the least dull first, and of equals what happened nearest to something decisive."""
    distances = [len(rows)] * len(rows)
    for order in (range(len(rows)), range(len(rows) - 1, -1, -1)):
        distance = len(rows)
        for at in order:
            distance = 0 if rows[at].dullness == DECISIVE else distance + 1
            distances[at] = min(distances[at], distance)
    others = [at for at, row in enumerate(rows) if row.dullness != DECISIVE and not _repeats(rows, at)]
    return sorted(others, key=lambda at: (rows[at].dullness, distances[at], at))


def _repeats(rows: Sequence[Row], at: int) -> bool:
    """Whether a dull row says what the one before it says: a loop is better counted than shown."""
    row, before = rows[at], rows[at - 1]
    return at > 0 and row.dullness == DULLEST and (row.lane, row.point) == (before.lane, before.point)


def _lines(rows: Sequence[Row], sizes: Sequence[int], shown: set[int]) -> int:
    total, now_s, in_gap = 1, rows[0].at_s, False  # the first moment stands before everything
    for at, row in enumerate(rows):
        if at in shown:
            total += sizes[at] + (row.at_s != now_s)
            now_s, in_gap = row.at_s, False
        elif not in_gap:
            total, in_gap = total + 1, True
    return total


def _both_ends(rows: Sequence[Row], sizes: Sequence[int], decisive: Sequence[int], room: int) -> set[int]:
    """Decisive rows from both ends, two of three from the last, where it went wrong."""
    shown: set[int] = set()
    first, last = 0, len(decisive) - 1
    while first <= last:
        from_start = len(shown) % 3 == 2
        at = decisive[first if from_start else last]
        if _lines(rows, sizes, shown | {at}) > room:
            break
        shown.add(at)
        first, last = (first + 1, last) if from_start else (first, last - 1)
    return shown


def _with_gaps(rows: Sequence[Row], shown: set[int]) -> list[Row | Gap]:
    found: list[Row | Gap] = []
    for is_shown, group in groupby(range(len(rows)), key=lambda at: at in shown):
        some = [rows[at] for at in group]
        found += some if is_shown else [Gap(tuple(some))]
    return found
