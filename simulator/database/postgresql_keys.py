"""What PostgreSQL itself enforces or does beside a statement's text, asked once after a schema was made.

Only effects ask for it: which rows a unique index lets wait for each other, which columns draw from a sequence, what a
column's type takes for equal, and which tables do something that no text and no key tells (``strange``).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from simulator.database.postgresql_catalog import named
from simulator.effects import canonical

if TYPE_CHECKING:
    import psycopg

    from simulator.database.predicates import Given

_NAMESPACE = "n.nspname AS schema, c.relname AS name"
_OURS = "n.nspname !~ '^(pg_|information_schema|turnstile_seed)'"
_UNIQUE = f"""
    SELECT {_NAMESPACE}, i.indexprs IS NULL AND NOT i.indisexclusion AS plain, i.indpred IS NULL AS total,
           (SELECT array_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a
            WHERE a.attrelid = c.oid AND a.attnum = ANY((i.indkey::int2[])[0:i.indnkeyatts - 1])) AS columns
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE (i.indisunique OR i.indisexclusion) AND c.relkind IN ('r', 'p') AND {_OURS} ORDER BY c.relname, i.indexrelid"""  # noqa: S608
_COLUMNS = f"""
    SELECT {_NAMESPACE}, a.attname AS part, t.typname AS type, t.typtype = 'e' AS enumerated, a.atttypmod < 0 AS free,
           coalesce((SELECT collisdeterministic FROM pg_collation o WHERE o.oid = a.attcollation), true) AS exact,
           a.attidentity <> '' OR coalesce((SELECT pg_get_expr(d.adbin, d.adrelid) ~ 'nextval' FROM pg_attrdef d
           WHERE d.adrelid = c.oid AND d.adnum = a.attnum), false) AS drawn
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND c.relkind IN ('r', 'p') AND {_OURS}
    ORDER BY 1, 2, a.attnum"""  # noqa: S608
# Rows that live in another table than the one named, and rows that only some may see.
_STRANGE = f"""
    SELECT {_NAMESPACE} FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {_OURS} AND c.oid IN (
        SELECT inhrelid FROM pg_inherits UNION SELECT inhparent FROM pg_inherits UNION SELECT polrelid FROM pg_policy)
    ORDER BY 1, 2"""  # noqa: S608
_LATE = f"""
    SELECT {_NAMESPACE} FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {_OURS} AND c.oid IN (
        SELECT conrelid FROM pg_constraint WHERE condeferrable UNION SELECT confrelid FROM pg_constraint
        WHERE condeferrable) ORDER BY 1, 2"""  # noqa: S608
_WHOLE = {"int2", "int4", "int8"}
_TEXT = {"text", "varchar", "bpchar"}


@dataclass(frozen=True, slots=True)
class Key:
    """What a unique index compares.

    Attributes:
        columns: in lower case.
        plain: it compares these columns and nothing else, by equality.
        total: it covers every row.
    """

    columns: frozenset[str]
    plain: bool
    total: bool

    def moves(self, assigned: frozenset[str] | None) -> bool:
        """Whether a row to whose columns values are assigned (None: to any) may have another key then."""
        return assigned is None or bool(assigned and not self.plain) or not self.columns.isdisjoint(assigned)


@dataclass(frozen=True, slots=True)
class Keys:
    """The facts about one schema, by a table's name in lower case.

    Attributes:
        unique: of each table.
        columns: of each table, in lower case, without those that are computed.
        kinds: of each column whose values can be told apart: ``whole``, ``numeric``, ``text`` or ``uuid``.
        drawn: the columns of each table that take their default from a sequence.
        strange: tables of which anything must be expected.
        late: tables with a constraint, on either side of it, that may be checked as late as at COMMIT.
    """

    unique: dict[str, list[Key]] = field(default_factory=dict)
    columns: dict[str, list[str]] = field(default_factory=dict)
    kinds: dict[tuple[str, str], str] = field(default_factory=dict)
    drawn: dict[str, set[str]] = field(default_factory=dict)
    strange: set[str] = field(default_factory=set)
    late: set[str] = field(default_factory=set)

    def canonical(self, table: str, column: str, given: Given, value: Any) -> str | None:
        """What tells a value apart from others that the column's type takes for different; None: nobody knows."""
        kind = self.kinds.get((table, column), "")
        if not kind or given.cast not in {"", kind}:
            return None
        if kind == "uuid":
            return _uuid(value)
        if kind == "text":
            return canonical(value) if isinstance(value, str | int) and not isinstance(value, bool) else None
        return _whole(value)

    def key_within(self, table: str, columns: Iterable[str]) -> frozenset[str] | None:
        """Columns among these in which no two rows of the table have the same values; None: there are none."""
        within = frozenset(columns)
        for key in self.unique.get(table, ()):
            if key.plain and key.total and key.columns <= within:
                return key.columns
        return None


def read_keys(monitor: psycopg.Connection[dict[str, Any]]) -> Keys:
    """Asks the server."""

    def ask(sql: str) -> list[tuple[str, dict[str, Any]]]:
        rows = monitor.execute(sql.encode()).fetchall()
        return [(named(row["schema"], row["name"]).lower(), row) for row in rows]

    keys = Keys()
    seen: dict[str, str] = {}
    for table, row in ask(_COLUMNS):
        if seen.setdefault(table, row["name"]) != row["name"]:  # two names that differ in their case only
            keys.strange.add(table)
        column = row["part"].lower()
        keys.columns.setdefault(table, []).append(column)
        if kind := _kind(row):
            keys.kinds[table, column] = kind
        if row["drawn"]:
            keys.drawn.setdefault(table, set()).add(column)
    for table, row in ask(_UNIQUE):
        parts = frozenset(column.lower() for column in row["columns"] or ())
        keys.unique.setdefault(table, []).append(Key(parts, row["plain"], row["total"]))
    keys.strange.update(table for table, _ in ask(_STRANGE))
    keys.late.update(table for table, _ in ask(_LATE))
    for table, columns in keys.columns.items():
        if len(set(columns)) < len(columns):
            keys.strange.add(table)
    return keys


def _kind(column: dict[str, Any]) -> str:
    """What a value of a column can be told apart by; nothing where one value has several texts, or is rounded."""
    if column["type"] in _WHOLE:
        return "whole"
    if column["enumerated"] or (column["type"] in _TEXT and column["exact"]):
        return "text"
    if column["type"] == "numeric" and column["free"]:
        return "numeric"
    return "uuid" if column["type"] == "uuid" else ""


def _uuid(value: Any) -> str | None:
    try:
        return uuid.UUID(str(value)).hex
    except ValueError:
        return None


def _whole(value: Any) -> str | None:
    """Whole numbers only: anything else may be rounded on its way into the column."""
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        return None
    try:
        return str(int(value)) if not isinstance(value, Decimal) or value == int(value) else None
    except (ValueError, OverflowError):
        return None
