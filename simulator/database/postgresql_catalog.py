"""What a schema consists of, asked once after it was made: tables, keys, views, sequences, defaults, seed rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from simulator.database.postgresql_clock import refusal, tokens_of
from simulator.errors import EscapedSimulation

if TYPE_CHECKING:
    import psycopg

SEEDS = "turnstile_seed"  # a schema of ours, beside theirs

# Every question leaves out what belongs to the server or to us; "public" is where SQL looks for a bare name.
_TABLES = """
    SELECT n.nspname AS schema, c.relname AS name, format('%I.%I', n.nspname, c.relname) AS quoted,
           (SELECT array_agg(attname ORDER BY attnum) FROM pg_attribute
            WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = '') AS columns,
           (SELECT array_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a JOIN pg_index i
            ON i.indrelid = a.attrelid AND a.attnum = ANY(i.indkey) WHERE i.indrelid = c.oid AND i.indisprimary)
           AS key
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^(pg_|information_schema|turnstile_seed)' ORDER BY 1, 2"""
_FOREIGN_KEYS = """
    SELECT cn.nspname AS child_schema, c.relname AS child, pn.nspname AS parent_schema, p.relname AS parent,
           k.confdeltype AS on_delete, k.confupdtype AS on_update,
           (SELECT array_agg(attname) FROM pg_attribute WHERE attrelid = c.oid AND attnum = ANY(k.conkey)) AS columns,
           (SELECT array_agg(attname) FROM pg_attribute WHERE attrelid = p.oid AND attnum = ANY(k.confkey))
           AS referenced
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace cn ON cn.oid = c.relnamespace
    JOIN pg_class p ON p.oid = k.confrelid JOIN pg_namespace pn ON pn.oid = p.relnamespace
    WHERE k.contype = 'f' ORDER BY c.relname, k.conname"""
_VIEWS = """
    SELECT view_schema AS schema, view_name AS name, table_schema AS over_schema, table_name AS over
    FROM information_schema.view_table_usage WHERE table_schema !~ '^(pg_|information_schema)' ORDER BY 1, 2, 3, 4"""
_SEQUENCES = """
    SELECT format('%I.%I', schemaname, sequencename) AS quoted, start_value, last_value FROM pg_sequences ORDER BY 1"""
_DEFAULTS = """
    SELECT n.nspname AS schema, c.relname AS name, a.attname AS part, pg_get_expr(d.adbin, d.adrelid) AS text
    FROM pg_attrdef d JOIN pg_class c ON c.oid = d.adrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum ORDER BY 1, 2, 3"""
_HIDDEN = """
    SELECT 'the view ' || c.relname AS name, pg_get_viewdef(c.oid) AS text
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('v', 'm') AND n.nspname !~ '^(pg_|information_schema)'
    UNION ALL SELECT 'the function ' || p.proname, p.prosrc FROM pg_proc p JOIN pg_namespace n
    ON n.oid = p.pronamespace WHERE n.nspname !~ '^(pg_|information_schema)' AND NOT EXISTS
    (SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e')
    UNION ALL SELECT 'the constraint ' || k.conname, pg_get_constraintdef(k.oid) FROM pg_constraint k
    JOIN pg_namespace n ON n.oid = k.connamespace
    WHERE k.contype = 'c' AND n.nspname !~ '^(pg_|information_schema)' ORDER BY 1"""
_FUNCTIONS = """
    SELECT DISTINCT lower(p.proname) AS name FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname !~ '^(pg_|information_schema)' AND p.provolatile <> 'i' ORDER BY 1"""
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
    tables = {named(row["schema"], row["name"]): row for row in ask(_TABLES)}
    foreign_keys = tuple(_foreign_key(row) for row in ask(_FOREIGN_KEYS))
    defaults: dict[str, dict[str, str]] = {}
    for row in ask(_DEFAULTS):
        if reason := refusal(tokens_of(row["text"])):
            defaults.setdefault(named(row["schema"], row["name"]), {})[row["part"]] = reason
    views: dict[str, tuple[str, ...]] = {}
    for row in ask(_VIEWS):
        name = named(row["schema"], row["name"])
        views[name] = (*views.get(name, ()), named(row["over_schema"], row["over"]))
    filled = [name for name, row in tables.items() if ask(f"SELECT 1 AS one FROM {row['quoted']} LIMIT 1")]  # noqa: S608
    return Catalog(
        {name: row["quoted"] for name, row in tables.items()},
        {
            name: tuple(row["columns"].index(part) for part in row["key"] or ())
            for name, row in tables.items()
        },
        {name: tuple(row["columns"] or ()) for name, row in tables.items()},
        foreign_keys,
        views,
        tuple(_sequence(row) for row in ask(_SEQUENCES)),
        defaults,
        frozenset(row["name"] for row in ask(_FUNCTIONS)),
        bool(ask(_TRIGGERS)[0]["count"]),
        tuple(in_order(filled, foreign_keys) or filled),
    )


def named(schema: str, name: str) -> str:
    """How labels and footprints call a table: by its bare name where SQL may do so."""
    return name if schema in {"", "public"} else f"{schema}.{name}"


def _foreign_key(row: dict[str, Any]) -> ForeignKey:
    return ForeignKey(
        named(row["child_schema"], row["child"]),
        named(row["parent_schema"], row["parent"]),
        row["on_delete"],
        row["on_update"],
        frozenset(row["columns"]),
        frozenset(row["referenced"]),
    )


def _sequence(row: dict[str, Any]) -> tuple[str, int, bool]:
    used = row["last_value"] is not None
    return row["quoted"], row["last_value"] if used else row["start_value"], used


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
