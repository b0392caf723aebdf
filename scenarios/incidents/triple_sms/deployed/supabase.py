"""The landing's tables, and a client in the manner of supabase-js: one request is one statement, and an error is *returned*.

Code that reads ``data`` and does not look at ``error`` goes on as if there were nothing: the way in which checks fail open.
"""

# ruff: noqa: SIM117 - connection and statement, as the other deployed code has them

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

Fails = Callable[[str], Awaitable[str | None]]

SCHEMA: Final = """
CREATE TABLE landing_leads (
    id TEXT PRIMARY KEY,
    name TEXT,
    email TEXT,
    phone TEXT,
    created_at BIGINT,
    email_sent INTEGER DEFAULT 0,
    email_sent_at BIGINT,
    sms_sent INTEGER DEFAULT 0,
    sms_sent_at BIGINT
);
CREATE TABLE scheduled_notifications (
    id TEXT PRIMARY KEY,
    lead_id TEXT,
    name TEXT,
    email TEXT,
    phone TEXT,
    scheduled_for BIGINT,
    status TEXT
);
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request gives: ``{ data, error, count }``.

    Args:
        data: rows, or one row, or None after an error.
        error: its message; None when there was none.
        count: of rows that an UPDATE has changed.
    """

    data: Any
    error: str | None = None
    count: int = 0


class Supabase:
    """A client of the database's REST interface.

    Args:
        open_async_connection: where statements go.
        fails: asked before each request; a text is the error that it ends with, and nothing is done.
    """

    def __init__(self, open_async_connection: Callable[[str], Any], fails: Fails) -> None:
        self._open = open_async_connection
        self._fails = fails

    async def select(
        self, table: str, columns: Sequence[str], where: str, parameters: Sequence[Any] = ()
    ) -> Answer:
        """Rows, each by column."""
        sql = f"SELECT {', '.join(columns)} FROM {table} WHERE {where}"
        if error := await self._fails(sql):
            return Answer(None, error)
        try:
            async with self._open("landing") as connection:
                async with connection.execute(sql, parameters) as cursor:
                    rows = await cursor.fetchall()
        except sqlite3.OperationalError as failure:
            return Answer(None, str(failure))
        return Answer([dict(zip(columns, row, strict=True)) for row in rows])

    async def single(self, table: str, columns: Sequence[str], row_id: str) -> Answer:
        """``.eq('id', ...).single()``: exactly one row, or an error."""
        answer = await self.select(table, columns, "id = ?", (row_id,))
        if answer.error is not None:
            return answer
        if len(answer.data) != 1:
            return Answer(None, "PGRST116: the result contains not exactly 1 row")
        return Answer(answer.data[0])

    async def write(self, sql: str, parameters: Sequence[Any] = ()) -> Answer:
        """An INSERT or an UPDATE, which is a transaction of its own."""
        if error := await self._fails(sql):
            return Answer(None, error)
        try:
            async with self._open("landing") as connection:
                cursor = await connection.execute(sql, parameters)
                await connection.commit()
        except sqlite3.DatabaseError as failure:
            return Answer(None, str(failure))
        return Answer(None, count=cursor.rowcount)
