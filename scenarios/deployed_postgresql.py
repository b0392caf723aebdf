"""The deployed code on PostgreSQL: a psycopg connection with aiosqlite's face.

Same statements in the same order. What moving that code would have meant is done here and nowhere else: ``?`` becomes
``%s``, ``BEGIN IMMEDIATE`` a plain ``BEGIN`` (there is no such mode), ``lastrowid`` a ``RETURNING id``, and an operational
error of the server SQLite's error of that name, which is what the deployed code knows. As with aiosqlite, a transaction
begins before INSERT, UPDATE and DELETE and not before SELECT, and closing without a commit rolls back.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Generator, Iterable
from typing import Any

import psycopg

from simulator import World

_WRITES = re.compile(r"\s*(INSERT|UPDATE|DELETE)\b", re.IGNORECASE)
_INSERT = re.compile(r"\s*INSERT\b", re.IGNORECASE)
_BEGIN = re.compile(r"\s*BEGIN\b", re.IGNORECASE)


class Cursor:
    """What the deployed code uses of a cursor."""

    def __init__(self, cursor: Any, lastrowid: int | None) -> None:
        self._cursor = cursor
        self.lastrowid = lastrowid
        self.rowcount: int = cursor.rowcount

    async def fetchone(self) -> Any:
        """The next row, or None."""
        return await self._cursor.fetchone()

    async def fetchall(self) -> list[Any]:
        """The rows that are left."""
        return list(await self._cursor.fetchall())


class Execution:
    """What ``execute`` gives: awaited or entered, it is the cursor."""

    def __init__(self, connection: Connection, sql: str, parameters: Iterable[Any]) -> None:
        self._connection = connection
        self._sql = sql
        self._parameters = tuple(parameters)

    def __await__(self) -> Generator[Any, None, Cursor]:
        return self._connection.run(self._sql, self._parameters).__await__()

    async def __aenter__(self) -> Cursor:
        return await self

    async def __aexit__(self, *_error: object) -> None:
        """The rows are here already; there is nothing to close."""


class Connection:
    """One connection of the world's PostgreSQL, as ``async with`` opens it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._raw: Any = None

    async def __aenter__(self) -> Connection:
        self._raw = await self._world.database.connect()
        await self._raw.set_autocommit(True)
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._raw.close()

    def execute(self, sql: str, parameters: Iterable[Any] = ()) -> Execution:
        """Runs a statement when it is awaited or entered."""
        return Execution(self, sql, parameters)

    async def commit(self) -> None:
        """Commits, and waits for the next write to begin a transaction."""
        await self._end(self._raw.commit)

    async def rollback(self) -> None:
        """Rolls back, and waits for the next write to begin a transaction."""
        await self._end(self._raw.rollback)

    async def run(self, sql: str, parameters: tuple[Any, ...]) -> Cursor:
        """Runs one statement in PostgreSQL's words.

        Raises:
            sqlite3.OperationalError: PostgreSQL refused for an operational reason (a deadlock, a lost connection).
        """
        if _BEGIN.match(sql):
            await self._raw.set_autocommit(
                False
            )  # the driver begins with the next statement, within its step
            return Cursor(self._raw.cursor(), None)
        if _WRITES.match(sql) and self._raw.autocommit:
            await self._raw.set_autocommit(False)
        returning = " RETURNING id" if _INSERT.match(sql) else ""
        words = sql.replace("%", "%%").replace("?", "%s") + returning if parameters else sql + returning
        try:
            cursor = await self._raw.execute(words, parameters or None)
            row = await cursor.fetchone() if returning else None  # none after ON CONFLICT DO NOTHING
            lastrowid = row[0] if row is not None else None
        except psycopg.OperationalError as error:
            raise sqlite3.OperationalError(str(error)) from error
        return Cursor(cursor, lastrowid)

    async def _end(self, ending: Any) -> None:
        await ending()
        await self._raw.set_autocommit(True)


def connection(world: World) -> Connection:
    """As ``aiosqlite.connect()``."""
    return Connection(world)
