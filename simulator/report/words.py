"""Tells a conflict in one sentence: recorded facts in their order, with the numbers of the steps where they stand."""

from __future__ import annotations

from simulator.report.conflicts import Conflict
from simulator.report.deeds import Deed, columns_of
from simulator.report.statements import label
from simulator.report.text import clip, counted, printable, telling_pairs

_ROWS_WIDTH = 72  # a row in a sentence; the table of events has more of it


def in_words(conflict: Conflict) -> str:
    """A conflict as a sentence without a full stop."""
    if conflict.kind == "both":
        return _both(conflict)
    (read,), (act,), change = conflict.reads, conflict.acts, conflict.change
    before = (
        f"{read.lane} {_looked(conflict, read)} at step {read.step}, before {change.lane}'s change of "
        f"{conflict.table} was visible ({_done(change, table=conflict.table)}, {_when(change)})"
    )
    if conflict.kind == "overwritten":
        return f"{before}, and then wrote over it: {_done(act, table=conflict.table)} ({_when(act)})"
    return f"{before}, and went on to {label(act.access)}: {_done(act)} ({_when(act)})"


def _both(conflict: Conflict) -> str:
    first, last = conflict.reads
    looked = _looked(conflict, first)
    if looked == _looked(conflict, last):
        looks = f"both {looked} ({first.lane} at step {first.step}, {last.lane} at step {last.step})"
    else:
        each = [f"{deed.lane} {_looked(conflict, deed)} at step {deed.step}" for deed in conflict.reads]
        looks = f"{' and '.join(each)},"
    one, other = conflict.acts
    common = columns_of(one.access) & columns_of(other.access)
    acts = " and ".join(f"{act.lane}: {_done(act, columns=common)} ({_when(act)})" for act in conflict.acts)
    change = conflict.change
    if conflict.undisturbed and change in conflict.acts:
        return f"{looks} before either wrote it; then both wrote: {acts}"
    changed = f"{_done(change, table=conflict.table)}, {_when(change)}"
    return f"{looks} before {change.lane} changed that ({changed}); both went on to write: {acts}"


def _looked(conflict: Conflict, read: Deed) -> str:
    """What a lane did and got: of the rows the columns that were then changed, where they are told."""
    rows = printable(read.access.outcome)
    kept = telling_pairs(rows, columns_of(conflict.change.access))
    if kept:
        return f"read {conflict.table} with {clip(', '.join(kept), _ROWS_WIDTH)}"
    if rows == "no row":
        return f"found no row in {conflict.table}"
    return f"read {conflict.table} as {clip(rows, _ROWS_WIDTH)}" if rows else f"read {conflict.table}"


def _done(deed: Deed, *, table: str = "", columns: frozenset[str] = frozenset()) -> str:
    """What a write changed: of one table, and of its rows only some columns, where these are named."""
    lines = [printable(line) for line in deed.access.changed if line.startswith(f"{table} " if table else "")]
    if not lines:
        name = label(deed.access)
        return printable(f"{name}, {deed.access.outcome}" if deed.access.outcome else name)
    more = f" and {counted(len(lines) - 1, 'row')} more" if len(lines) > 1 else ""
    row, _, rest = lines[0].partition(": ")
    pieces = rest.split(", ")
    kept = [piece for piece in pieces if piece.partition(" ")[0] in columns]
    shown = f"{row}: {', '.join(kept)}" + (", ..." if len(kept) < len(pieces) else "") if kept else lines[0]
    return clip(shown, _ROWS_WIDTH) + more


def _when(deed: Deed) -> str:
    return (
        f"step {deed.step}"
        if deed.visible_at == deed.step
        else f"step {deed.step}, visible at {deed.visible_at}"
    )
