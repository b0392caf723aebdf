"""What stands where a guard stood: the same work, done as one would without it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Column, Table
from sqlalchemy.ext.asyncio import AsyncConnection

from reference.storage import statements, transactions
from reference.storage.engine import TrioEngine


def plain_insert(*tables: str) -> Callable[..., Any]:
    """``insert_once`` that, for these tables, inserts and asks nothing: it takes a schema without the key."""

    async def insert_always(
        connection: AsyncConnection, table: Table, row: Mapping[str, Any], *, key: Sequence[Column[Any]] = ()
    ) -> bool:
        if table.name not in tables:
            return await statements.insert_once(connection, table, row, key=key)
        await connection.execute(table.insert(), row)
        return True

    return insert_always


def look_then_insert(*tables: str) -> Callable[..., Any]:
    """``insert_once`` that, for these tables, looks first and inserts then: the check that everybody writes first."""

    async def look_first(
        connection: AsyncConnection, table: Table, row: Mapping[str, Any], *, key: Sequence[Column[Any]] = ()
    ) -> bool:
        if table.name not in tables:
            return await statements.insert_once(connection, table, row, key=key)
        columns = list(key or table.primary_key)
        same = table.select().where(*(column == row[column.name] for column in columns))
        if (await connection.execute(same)).first() is not None:
            return False
        await connection.execute(table.insert(), row)
        return True

    return look_first


def each_statement_alone(*works: str) -> Callable[..., Any]:
    """``_once`` that commits after each statement of these transactions, by the names of the functions they run.

    Raises:
        AssertionError: at the end of an ablation that names a transaction which never ran is nothing raised: its scenario
            simply holds, and that is a survivor.
    """

    async def once(engine: TrioEngine, work: Any) -> Any:
        if not any(transactions._name(work).endswith(name) for name in works):
            return await _real_once(engine, work)
        async with engine.connect() as connection:
            return await work(_Committing(connection))

    return once


_real_once = transactions._once


class _Committing:
    """A connection on which nothing stays open."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def execute(self, *given: Any, **named: Any) -> Any:
        result = await self._connection.execute(*given, **named)
        kept = result.freeze() if result.returns_rows else None
        counted = None if kept is not None else _Counted(result.rowcount)
        await self._connection.commit()
        return kept() if kept is not None else counted


class _Counted:
    """What is left of a result without rows."""

    returns_rows = False

    def __init__(self, rowcount: int) -> None:
        self.rowcount = rowcount


def nothing(answer: object = None) -> Callable[..., Any]:
    """An async function that does nothing and returns this."""

    async def does_nothing(*_given: object, **_named: object) -> Any:
        return answer

    return does_nothing
