"""What scenarios share: connections as deployed code opened them, and everything that lies beyond the database."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any

from sqlalchemy.exc import OperationalError

from reference import TransactionConflictError, TrioEngine, open_engine
from simulator import World

DATABASE_ERRORS = (sqlite3.OperationalError, OperationalError, TransactionConflictError)
"""What costs a delivery or a tick and no more: the lock was not to be had in time. A webhook is then sent again."""


@lru_cache(maxsize=4)
def _engine(url: str, connect: Callable[[], Awaitable[Any]]) -> TrioEngine:
    return open_engine(url, connect=connect)


def engine(world: World) -> TrioEngine:
    """The reference's production engine with the simulator's connector.

    One for all executions on a database: it holds no connection and no state, only compiled statements, and compiling
    them anew took five times as long as running them.
    """
    return _engine(world.database.url, world.database.connect)


def open_async_connection(world: World) -> Callable[[str], Any]:
    """``open_async_connection(db_path)`` of the deployed code: aiosqlite's own connection, inside the world.

    On PostgreSQL it is an adapter with aiosqlite's face (`scenarios.deployed_postgresql`): same statements, same order,
    `BEGIN IMMEDIATE` becomes a plain `BEGIN`, which is what moving that code would have meant.
    """
    if world.database.name == "postgresql":
        from scenarios.deployed_postgresql import connection

        return lambda _db_path: connection(world)
    return lambda _db_path: world.database.connection()  # type: ignore[attr-defined]


class Remote:
    """The bot, the provider and the key servers: a request and a reply are two points, and the answer is always yes.

    It counts what arrived, which is the truth about messages; what our tables say is only an opinion.

    Attributes:
        told: texts that reached the user, in order.
        bot_works: whether a message can be delivered.
    """

    def __init__(self, world: World, *, bot_works: bool = True) -> None:
        self._world = world
        self.bot_works = bot_works
        self.told: list[str] = []

    async def send_message(self, _user_id: int, text: str, /) -> bool:
        """Telegram."""

        def deliver() -> bool:
            if self.bot_works:
                self.told.append(text)
            return self.bot_works

        return await self._world.call("telegram sendMessage", deliver, touches="telegram")

    async def is_paid(self, payment_id: str, /) -> bool:
        """The payment provider's record."""
        return await self._world.call(
            f"provider look-up {payment_id}", lambda: True, touches=f"payment {payment_id}", changes=False
        )

    async def create_key(self, server_id: int, user_id: int, /) -> str:
        """A V2Ray server makes a key."""
        return await self._world.call(
            f"server {server_id} create key",
            lambda: f"key-{user_id}-{server_id}",
            touches=f"server {server_id}",
        )

    async def reset_traffic(self, server_id: int, _key: str, /) -> bool:
        """A V2Ray server forgets what was used."""
        return await self._world.call(
            f"server {server_id} reset traffic", lambda: True, touches=f"server {server_id}"
        )
