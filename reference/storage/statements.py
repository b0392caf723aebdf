"""``INSERT ... ON CONFLICT`` for whichever database the connection speaks to: SQLAlchemy spells it per dialect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Column, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import CoreExecuteOptionsParameter
from sqlalchemy.ext.asyncio import AsyncConnection

COUNT_INSERTED: CoreExecuteOptionsParameter = {
    "preserve_rowcount": True
}  # by default an INSERT's count is thrown away

Upsert = sqlite.Insert | postgresql.Insert


def insert(connection: AsyncConnection, table: Table) -> Upsert:
    """An insert with the ``on_conflict_*`` methods."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


async def insert_once(
    connection: AsyncConnection, table: Table, row: Mapping[str, Any], *, key: Sequence[Column[Any]] = ()
) -> bool:
    """Insert a row unless one with the same key is there already.

    Only that key is forgiven. A collision on any other unique column is somebody's mistake and raises; forgiven too, it would
    pass for "done already", and a payment would be swallowed. On PostgreSQL this waits for a transaction that has inserted
    the same key and not ended yet, so the answer is final.

    Args:
        connection: inside a transaction.
        table: where to.
        row: by column name.
        key: the unique columns that decide; the primary key unless told otherwise.

    Returns:
        Whether this call inserted it.
    """
    statement = insert(connection, table).on_conflict_do_nothing(
        index_elements=list(key or table.primary_key)
    )
    result = await connection.execute(statement, row, execution_options=COUNT_INSERTED)
    return result.rowcount == 1
