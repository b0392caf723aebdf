"""The reference's tables as SQL, without one of their keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Constraint, ForeignKeyConstraint, MetaData, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

_DIALECTS = {"sqlite": sqlite.dialect, "postgresql": postgresql.dialect}


def without_keys(metadata: MetaData, *names: str) -> Callable[[str], str]:
    """Makes the tables' script without these keys, by their names in the schema: ``pk_inbox``, ``uq_...``, an index's name.

    Foreign keys that point to such a key go with it: a database takes none to what is not unique.

    Args:
        metadata: the reference's.
        names: of primary keys, unique constraints or unique indexes.

    Returns:
        A function of the engine's name, as ``@simulate(schema=...)`` takes it.

    Raises:
        LookupError: there is no such key.
    """
    gone = [_key(metadata, name) for name in names]

    def script(engine: str) -> str:
        return "\n".join(_statements(metadata, engine, frozenset(names), gone))

    return script


def keys(metadata: MetaData) -> list[str]:
    """The names of all keys of the schema: what decides, when two want the same."""
    found = []
    for table in metadata.sorted_tables:
        found += [str(constraint.name) for constraint in _unique_constraints(table)]
        found += [str(index.name) for index in table.indexes if index.unique]
    return sorted(found)


def _unique_constraints(table: Table) -> list[Constraint]:
    words = ("primary_key_constraint", "unique_constraint")
    return [constraint for constraint in table.constraints if constraint.__visit_name__ in words]


def _key(metadata: MetaData, name: str) -> tuple[str, tuple[str, ...]]:
    """The table and the columns of a key."""
    for table in metadata.sorted_tables:
        named: list[Any] = [*_unique_constraints(table), *table.indexes]
        for key in named:
            if key.name == name:
                return table.name, tuple(column.name for column in key.columns)
    raise LookupError(f"the schema has no key {name!r}; it has: {', '.join(keys(metadata))}")


def _statements(
    metadata: MetaData, engine: str, names: frozenset[str], gone: list[tuple[str, tuple[str, ...]]]
) -> Iterator[str]:
    dialect = _DIALECTS[engine]()
    for table in metadata.sorted_tables:
        orphans = {str(key.name) for key in table.foreign_key_constraints if _points_to(key) in gone}
        yield _without_lines(str(CreateTable(table).compile(dialect=dialect)), names | orphans)
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            if index.name not in names:
                yield f"{CreateIndex(index).compile(dialect=dialect)};"


def _points_to(key: ForeignKeyConstraint) -> tuple[str, tuple[str, ...]]:
    return key.referred_table.name, tuple(element.column.name for element in key.elements)


def _without_lines(statement: str, names: frozenset[str]) -> str:
    """SQLAlchemy writes each column and each constraint on a line of its own."""
    head, body = statement.strip().split("(\n", 1)
    lines = [line.strip().rstrip(",").strip() for line in body.rstrip().removesuffix(")").splitlines()]
    kept = [line for line in lines if line and not _is_one_of(line, names)]
    return f"{head}(\n  " + ",\n  ".join(kept) + "\n);"


def _is_one_of(line: str, names: frozenset[str]) -> bool:
    found = re.match(r"CONSTRAINT (\w+) ", line)
    return bool(found and found[1] in names)
