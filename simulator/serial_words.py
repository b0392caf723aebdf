"""Says how a final state differs from those of the serial orders, and which of the known anomalies that is.

Two things are known: the states, and (in the detailed execution that a report is made of) who read and wrote what, and when.
States alone tell a *double effect* and a *lost effect*: a row more often, or less often, than in any serial order. For the
others the accesses decide (a double effect is also a change that two made to one row, for the same reason and neither of them
lost), and where they do not, no name is given.

Source of the names: Berenson et al., "A critique of ANSI SQL isolation levels", SIGMOD 1995; double and lost effects are
what payments call them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from simulator.report.conflicts import Conflict, conflicts
from simulator.report.deeds import deeds_of, is_relative, rows_of
from simulator.report.text import counted
from simulator.trace import Trace

Row = tuple[tuple[str, str], ...]
Rows = tuple[Row, ...]
State = tuple[tuple[str, Rows], ...]
"""Tables with their rows, sorted; a row is its columns with their values as text."""

_SHOWN = 3
_CONFLICTS_MAX = 1_000
_ORDER = (
    "lost update",
    "double effect",
    "write skew",
    "read skew",
    "stale read",
)  # which name counts where several fit


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a state differs from a serial one.

    Attributes:
        table: its name.
        is_row: the row that is there and in no such serial state; None where one is missing.
        serial: the row that is there in its place; None where there is one too many.
    """

    table: str
    is_row: Row | None
    serial: Row | None


def anomaly_in_words(state: State, serial: Sequence[State], trace: Trace) -> str:
    """The reason that a report gives.

    Args:
        state: that was reached.
        serial: those that serial orders reach with the same data; none of them is ``state``.
        trace: of the execution; without details, only effects that are double or lost have a name.
    """
    if not serial:
        return "these data were never chosen in a serial order, so nothing is known to compare with"
    nearest = min(serial, key=lambda other: len(list(differences(state, other))))
    found = list(differences(state, nearest))
    name = _name_of(found, state, serial, trace)
    shown = [_in_words(each, serial) for each in found[:_SHOWN]]
    more = f" (and {counted(len(found) - _SHOWN, 'more difference')})" if len(found) > _SHOWN else ""
    orders = counted(len(serial), "other final state")
    return f"{name}: {'; '.join(shown)}{more}; serial orders give {orders}"


def differences(state: State, serial: State) -> Iterator[Difference]:
    """Row by row; rows with the same first column are taken for one row that changed."""
    others = dict(serial)
    for table, rows in state:
        own, serials = Counter(rows), Counter(others.get(table, ()))
        left = list((serials - own).elements())
        for row in (own - serials).elements():
            partner = next((other for other in left if _same_key(other, row)), None)
            if partner is None and len(rows) == len(others.get(table, ())) and left:
                partner = left[0]
            if partner is not None:
                left.remove(partner)
            yield Difference(table, row, partner)
        yield from (Difference(table, None, row) for row in left)


def _name_of(found: Sequence[Difference], state: State, serial: Sequence[State], trace: Trace) -> str:
    sizes = {table: [len(dict(other).get(table, ())) for other in serial] for table, _ in state}
    if any(each.serial is None and len(dict(state)[each.table]) > max(sizes[each.table]) for each in found):
        return "double effect"
    if any(each.is_row is None and len(dict(state)[each.table]) < min(sizes[each.table]) for each in found):
        return "lost effect"
    if not trace.detailed:
        return "anomaly"
    tables = {each.table for each in found}
    names = [_name_of_conflict(conflict, tables) for conflict in conflicts(trace, most=_CONFLICTS_MAX)]
    if _read_on_both_sides(trace, tables):
        names.append("read skew")
    if not any(names) and _done_twice(trace, tables):
        names.append("double effect")
    return min(filter(None, names), key=_ORDER.index, default="anomaly")


def _name_of_conflict(conflict: Conflict, tables: set[str]) -> str:
    """What a conflict is called, if it explains why one of these tables is wrong."""
    if tables.isdisjoint(table for act in conflict.acts for table in act.access.writes):
        return ""
    if conflict.kind == "overwritten":
        return "lost update" if conflict.table in tables else ""
    if conflict.kind == "stale":
        return "stale read"
    one, other = conflict.acts
    common = sorted(set(one.access.writes) & set(other.access.writes))
    same_row = any(rows_of(one, table) & rows_of(other, table) for table in common)
    if not same_row:
        return "write skew"
    # Who adds to what it finds loses nothing: then both changes count, and each was made because of the same thing.
    return "lost update" if conflict.table in common and not is_relative(other.access) else "double effect"


def _done_twice(trace: Trace, tables: set[str]) -> bool:
    """Whether two lanes made the same change to what they found in one wrong row: one of them again after a crash, say."""
    acts = [deed for deed in deeds_of(trace) if deed.visible_at and is_relative(deed.access)]
    return any(
        one.lane != other.lane
        and one.access.sql == other.access.sql
        and any(rows_of(one, table) & rows_of(other, table) for table in sorted(tables))
        for one, other in combinations(acts, 2)
    )


def _read_on_both_sides(trace: Trace, tables: set[str]) -> bool:
    """Whether somebody read before and after a change of another one became visible, and then wrote what is wrong."""
    deeds = deeds_of(trace)
    for act in deeds:
        if not act.visible_at or tables.isdisjoint(act.access.writes):
            continue
        reads = [
            deed for deed in deeds if deed.lane == act.lane and deed.step < act.step and deed.access.reads
        ]
        for change in deeds:
            if change.lane == act.lane or not change.visible_at:
                continue
            steps = [
                read.step for read in reads if not set(change.access.writes).isdisjoint(read.access.reads)
            ]
            if steps and min(steps) < change.visible_at <= max(steps):
                return True
    return False


def _in_words(each: Difference, serial: Sequence[State]) -> str:
    if each.is_row is None:
        assert each.serial is not None
        return f"{each.table} has no row {_pairs(each.serial)}"
    if each.serial is None:
        return f"{each.table} has one row {_pairs(each.is_row)} too many"
    keyed = _same_key(each.is_row, each.serial)
    wrong = []
    for (name, value), (_, other) in zip(each.is_row, each.serial, strict=False):
        if value != other:
            rows = [row for state in serial for row in dict(state).get(each.table, ())]
            values = {dict(row)[name] for row in rows if not keyed or _same_key(row, each.is_row)}
            possible = " or ".join(sorted(values)[:_SHOWN])
            other = (
                "which no serial order has together with the rest" if value in values else f"not {possible}"
            )
            wrong.append(f"{name} is {value}, {other}")
    return f"{each.table}{f' {each.is_row[0][1]}' if keyed else ''}: {', '.join(wrong)}"


def _same_key(one: Row, other: Row) -> bool:
    """Rows with the same first column are taken for the same row."""
    return len(one) > 1 and one[:1] == other[:1]


def _pairs(row: Row) -> str:
    return ", ".join(f"{name}={value}" for name, value in row if value != "None") or "without a value"
