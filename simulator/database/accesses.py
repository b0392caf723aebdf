"""What a statement did, for the report: the rows that came back and the rows that changed, before and after.

Looking must change nothing: every look has a cursor of its own without the user's row factory, and a look that SQLite
refuses (a temporary table that others do not see) is no look.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.database.shapes import Shape

Tables = dict[str, tuple[list[str], dict[Any, tuple[Any, ...]]]]
_ROWS_SHOWN = 3


def snapshot_tables(raw: sqlite3.Connection, tables: Iterable[str]) -> Tables:
    """The whole of some small tables, by row id, as this connection sees them."""
    found: Tables = {}
    for table in tables:
        quoted = '"' + table.replace('"', '""') + '"'
        try:
            names, rows = _look(raw, f"SELECT rowid, * FROM {quoted}")  # noqa: S608
            found[table] = (names[1:], {row[0]: row[1:] for row in rows})
        except sqlite3.Error:  # a table WITHOUT ROWID, a view: rows are told apart by all of their values
            try:
                names, rows = _look(raw, f"SELECT * FROM {quoted}")  # noqa: S608
            except sqlite3.Error:
                continue
            found[table] = (names, {row: row for row in rows})
    return found


def changed_rows(before: Tables, after: Tables) -> list[str]:
    """A line for each row that came, went or changed."""
    lines = []
    for table, (names, rows) in after.items():
        old_rows = before[table][1] if table in before else {}
        for key, row in rows.items():
            old = old_rows.get(key)
            if old is None:
                lines.append(f"{table} + {_pairs(names, row)}")
            elif old != row:
                changes = ", ".join(
                    f"{name} {_value(was)} -> {_value(now)}"
                    for name, was, now in zip(names, old, row, strict=True)
                    if was != now
                )
                lines.append(f"{table} {_value(row[0])}: {changes}")
        lines += [f"{table} - {_pairs(names, old)}" for key, old in old_rows.items() if key not in rows]
    return lines


def describe_outcome(
    raw: sqlite3.Connection, shape: Shape, arguments: Sequence[Any], result: Any, error: sqlite3.Error | None
) -> str:
    """In words: what came back."""
    if error is not None:
        return f"{type(error).__name__}: {error}"
    if shape.footprint.writes:
        count = getattr(result, "rowcount", -1)
        return f"{count} row{'s' if count != 1 else ''}" if count >= 0 else ""
    if shape.verb not in {"SELECT", "WITH", "VALUES"} or not shape.repeatable:
        return ""
    try:  # the caller's cursor must stay untouched for the caller; such a SELECT may be asked twice
        return describe_rows(*_look(raw, *arguments))
    except sqlite3.Error as late:  # in a row that the caller may never fetch
        return f"{type(late).__name__}: {late}"


def describe_rows(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """The rows that a SELECT gave, shortened."""
    if not rows:
        return "no row"
    shown = "; ".join(_pairs(names, row) for row in rows[:_ROWS_SHOWN])
    more = f" (and {len(rows) - _ROWS_SHOWN} more)" if len(rows) > _ROWS_SHOWN else ""
    return shown + more


def _look(raw: sqlite3.Connection, sql: str, *parameters: Any) -> tuple[list[str], list[tuple[Any, ...]]]:
    cursor = raw.cursor()
    cursor.row_factory = None
    cursor.execute(sql, *parameters)
    names = [column[0] for column in cursor.description or ()]
    return names, cursor.fetchall()


def _pairs(names: Sequence[str], row: Sequence[Any]) -> str:
    return ", ".join(
        f"{name}={_value(value)}" for name, value in zip(names, row, strict=False) if value is not None
    )


def _value(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
