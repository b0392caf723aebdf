"""A scenario's tables: SQL text, SQLAlchemy metadata, or a function of the engine's name that returns either."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from sqlalchemy import MetaData
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

Engine = Literal["sqlite", "postgresql"]
Schema = str | MetaData | Callable[[Engine], "str | MetaData"]


def schema_as_sql(schema: Schema, engine: Engine) -> str:
    """The statements that make the tables, for one engine.

    Raises:
        TypeError: the schema is of none of the kinds.
    """
    if callable(schema):
        schema = schema(engine)
    if isinstance(schema, str):
        return schema
    if not isinstance(schema, MetaData):
        raise TypeError(
            f"a schema is SQL text, SQLAlchemy MetaData or a function that returns one; got {schema!r}"
        )
    dialect = (sqlite.dialect if engine == "sqlite" else postgresql.dialect)()
    statements = []
    for table in schema.sorted_tables:
        statements.append(str(CreateTable(table).compile(dialect=dialect)))
        statements += [
            str(CreateIndex(index).compile(dialect=dialect))
            for index in sorted(table.indexes, key=lambda i: str(i.name))
        ]
    return ";\n".join(statements)
