"""``bot.db``, and the way in which the API's process gets at it: ATTACH before each award, DETACH after it."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import trio

SCHEMA: Final = """
CREATE TABLE contests (
    id TEXT PRIMARY KEY,
    starts_at TEXT,
    ends_at TEXT,
    attribution_window_days INTEGER,
    is_active INTEGER
);
CREATE TABLE user_referrals (
    referred_id BIGINT PRIMARY KEY,
    referrer_id BIGINT,
    bound_at TEXT
);
CREATE TABLE ticket_ledger (
    id TEXT PRIMARY KEY,
    contest_id TEXT,
    referrer_id BIGINT,
    referred_id BIGINT,
    order_id TEXT,
    delta INTEGER,
    reason TEXT,
    created_at TEXT
);
CREATE TABLE ref_events (
    id TEXT PRIMARY KEY,
    contest_id TEXT,
    referrer_id BIGINT,
    referred_id BIGINT,
    bound_at TEXT,
    status TEXT,
    qualified_at TEXT
);
"""


class Connection(Protocol):
    """The face of a connection that is used."""

    def execute(self, sql: str, parameters: Any = ...) -> Any:
        """Runs a statement when it is awaited or entered."""

    async def commit(self) -> None:
        """Ends the transaction."""

    async def rollback(self) -> None:
        """Undoes it."""


class BotDb:
    """The database of one process.

    Args:
        open_async_connection: where statements go.
        can_attach: asked at each ATTACH; False: the file cannot be opened.
        synchronous: whether an award runs to its end before anybody else in the process moves, as with better-sqlite3.
    """

    def __init__(
        self,
        open_async_connection: Callable[[str], Any],
        can_attach: Callable[[], Awaitable[bool]],
        *,
        synchronous: bool = True,
    ) -> None:
        self._open = open_async_connection
        self._can_attach = can_attach
        self._attached = False
        self.synchronous = synchronous
        self.event_loop = trio.Lock()

    def connection(self) -> Any:
        """To be entered for a :class:`Connection`."""
        return self._open("bot.db")

    async def attach(self) -> None:
        """``ATTACH DATABASE ? AS bot_db``."""
        if not await self._can_attach():
            raise sqlite3.OperationalError("unable to open database: bot.db")
        self._attached = True

    def detach(self) -> None:
        """``DETACH DATABASE bot_db``, which fails where nothing was attached."""
        if not self._attached:
            raise sqlite3.OperationalError("no such database: bot_db")
        self._attached = False
