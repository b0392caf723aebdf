"""What a schema consists of, asked once after it was made: tables, keys, views, sequences, defaults, seed rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from simulator.database.postgresql_clock import refusal, tokens_of
from simulator.errors import EscapedSimulation

if TYPE_CHECKING:
    import psycopg

SEEDS = "turnstile_seed"
_OURS = f"n.nspname NOT IN ('information_schema', '{SEEDS}') AND n.nspname !~ '^pg_'"
_NAME = "CASE n.nspname WHEN 'public' THEN '' ELSE n.nspname || '.' END || c.relname"

_TABLES = f"""
    SELECT {_NAME} AS name, format('%I.%I', n.nspname, c.relname) AS quoted,
           (SELECT array_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '') AS columns,
           (SELECT array_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a JOIN pg_index i
            ON i.indrelid = a.attrelid AND a.attnum = ANY(i.indkey) WHERE i.indrelid = c.oid AND i.indisprimary) AS key
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND {_OURS} ORDER BY 1"""
_FOREIGN_KEYS = f"""
    SELECT {_NAME} AS child,
           (SELECT {_NAME} FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = k.confrelid)
           AS parent, k.confdeltype AS on_delete, k.confupdtype AS on_update,
           (SELECT array_agg(attname) FROM pg_attribute WHERE attrelid = k.conrelid AND attnum = ANY(k.conkey))
           AS columns,
           (SELECT array_agg(attname) FROM pg_attribute WHERE attrelid = k.confrelid AND attnum = ANY(k.confkey))
           AS referenced
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE k.contype = 'f' AND {_OURS} ORDER BY k.conname, 1"""
_VIEWS = """
    SELECT CASE view_schema WHEN 'public' THEN '' ELSE view_schema || '.' END || view_name AS name,
           CASE table_schema WHEN 'public' THEN '' ELSE table_schema || '.' END || table_name AS over
    FROM information_schema.view_table_usage WHERE table_schema !~ '^pg_' ORDER BY 1, 2"""
_SEQUENCES = f"""
    SELECT format('%I.%I', schemaname, sequencename) AS quoted, start_value, last_value FROM pg_sequences
    WHERE schemaname <> '{SEEDS}' ORDER BY 1"""
_DEFAULTS = f"""
    SELECT {_NAME} AS name, a.attname AS part, pg_get_expr(d.adbin, d.adrelid) AS text
    FROM pg_attrdef d JOIN pg_class c ON c.oid = d.adrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE {_OURS} ORDER BY 1, 2"""
_HIDDEN = f"""
    SELECT 'the view ' || {_NAME} AS name, pg_get_viewdef(c.oid) AS text
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('v', 'm') AND {_OURS}
    UNION ALL SELECT 'the function ' || p.proname, p.prosrc FROM pg_proc p JOIN pg_namespace n
    ON n.oid = p.pronamespace WHERE {_OURS} AND NOT EXISTS
    (SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e')
    UNION ALL SELECT 'the constraint ' || k.conname, pg_get_constraintdef(k.oid) FROM pg_constraint k
    JOIN pg_namespace n ON n.oid = k.connamespace WHERE k.contype = 'c' AND {_OURS} ORDER BY 1"""
_FUNCTIONS = f"""
    SELECT DISTINCT lower(p.proname) AS name FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE {_OURS} AND p.provolatile = 'v' ORDER BY 1"""
_TRIGGERS = """
    SELECT (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal)
         + (SELECT count(*) FROM pg_rewrite WHERE rulename <> '_RETURN' AND oid >= 16384) AS count"""


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A reference between two tables; it makes a statement on one of them look at the other."""

    child: str
    parent: str
    on_delete: str
    on_update: str
    columns: frozenset[str]
    referenced: frozenset[str]


@dataclass(frozen=True, slots=True)
class Catalog:
    """The facts about one schema.

    Attributes:
        tables: by name, how SQL writes them.
        keys: for each table the positions of its primary key's columns; empty without one.
        columns: for each table the columns that an INSERT may name.
        foreign_keys: between the tables.
        views: for each view the tables (or views) beneath.
        sequences: how SQL writes them, and the value that each starts from: (value, whether it was handed out).
        defaults: for each table the columns whose default cannot run in a world, and why.
        functions: the schema's own functions, whose reach nobody knows.
        triggers: whether any statement may write what its text does not name.
        seeded: tables that the schema filled, parents first.
    """

    tables: dict[str, str]
    keys: dict[str, tuple[int, ...]]
    columns: dict[str, tuple[str, ...]]
    foreign_keys: tuple[ForeignKey, ...]
    views: dict[str, tuple[str, ...]]
    sequences: tuple[tuple[str, int, bool], ...]
    defaults: dict[str, dict[str, str]]
    functions: frozenset[str]
    triggers: bool
    seeded: tuple[str, ...] = field(default=())

    def over(self, name: str) -> tuple[str, ...]:
        """The tables beneath a name: itself, unless it is a view."""
        beneath = self.views.get(name)
        if beneath is None:
            return (name,)
        return tuple(sorted({table for each in beneath if each != name for table in self.over(each)}))

    def refused_default(self, table: str, named: frozenset[str]) -> str:
        """Why an INSERT that names these columns cannot run: a column left out has a default that asks the clock."""
        for column, reason in self.defaults.get(table, {}).items():
            if column not in named:
                return f"the default of {table}.{column}: {reason}"
        return ""


def read_catalog(monitor: psycopg.Connection[dict[str, Any]]) -> Catalog:
    """Asks the server what the schema has made, and keeps a copy of the rows that it brought along.

    Raises:
        EscapedSimulation: a view, a function or a constraint asks for the server's clock or chance.
    """

    def ask(sql: str) -> list[dict[str, Any]]:
        return monitor.execute(sql.encode()).fetchall()

    for row in ask(_HIDDEN):
        if reason := refusal(tokens_of(row["text"])):
            raise EscapedSimulation(f"{row['name']} of the scenario's schema: {reason}")
    tables = ask(_TABLES)
    names = {row["name"]: row["quoted"] for row in tables}
    foreign_keys = tuple(
        ForeignKey(**{**row, "columns": frozenset(row["columns"]), "referenced": frozenset(row["referenced"])})
        for row in ask(_FOREIGN_KEYS)
    )
    defaults: dict[str, dict[str, str]] = {}
    for row in ask(_DEFAULTS):
        if reason := refusal(tokens_of(row["text"])):
            defaults.setdefault(row["name"], {})[row["part"]] = reason
    views: dict[str, list[str]] = {}
    for row in ask(_VIEWS):
        views.setdefault(row["name"], []).append(row["over"])
    filled = [name for name in names if ask(f"SELECT EXISTS (SELECT FROM {names[name]}) AS any")[0]["any"]]  # noqa: S608
    return Catalog(
        names,
        {row["name"]: tuple(row["columns"].index(part) for part in row["key"] or ()) for row in tables},
        {row["name"]: tuple(row["columns"] or ()) for row in tables},
        foreign_keys,
        {name: tuple(over) for name, over in views.items()},
        tuple(
            (row["quoted"], row["start_value"] if row["last_value"] is None else row["last_value"], row["last_value"] is not None)
            for row in ask(_SEQUENCES)
        ),
        defaults,
        frozenset(row["name"] for row in ask(_FUNCTIONS)),
        bool(ask(_TRIGGERS)[0]["count"]),
        tuple(in_order(filled, foreign_keys) or filled),
    )


def in_order(tables: list[str], foreign_keys: tuple[ForeignKey, ...]) -> list[str]:
    """Parents before children; nothing when they refer to each other in a circle."""
    left, ordered = list(tables), list[str]()
    while left:
        children = {key.child for key in foreign_keys if key.parent in left and key.parent != key.child}
        free = [table for table in left if table not in children]
        if not free:
            return []
        ordered += free
        left = [table for table in left if table not in free]
    return ordered
