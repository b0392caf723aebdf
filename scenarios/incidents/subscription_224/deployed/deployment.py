"""What the deployed code stood on: the database door, the bot, the payment provider, the key servers.

These are shapes only. Nothing here opens, sends or creates anything: whoever runs the deployed code hands in the real
or the simulated thing, one `Deployment` per process (a process that dies takes its connections with it).
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol


class Cursor(Protocol):
    """What the deployed code uses of an aiosqlite cursor; a row is typed Any, as unchecked as the code is."""

    @property
    def rowcount(self) -> int: ...

    @property
    def lastrowid(self) -> Any: ...

    def fetchone(self) -> Awaitable[Any]: ...

    def fetchall(self) -> Awaitable[Iterable[Sequence[Any]]]: ...


class Execution(Awaitable[Cursor], AbstractAsyncContextManager[Cursor], Protocol):
    """What `execute` gives: awaited it is the cursor, entered it is the cursor and closes it after."""


class Connection(Protocol):
    """What the deployed code uses of an aiosqlite connection.

    The rules it counts on: parameters are `?`; there is an implicit BEGIN before INSERT and UPDATE and none before
    SELECT (aiosqlite's default `isolation_level`); closing without a commit rolls back. An adapter for PostgreSQL has
    to answer `BEGIN IMMEDIATE` and `lastrowid` too.
    """

    def execute(self, sql: str, parameters: Iterable[Any] = ..., /) -> Execution: ...

    def commit(self) -> Awaitable[None]: ...

    def rollback(self) -> Awaitable[None]: ...


OpenAsyncConnection = Callable[[str], AbstractAsyncContextManager[Connection]]


class Notifier(Protocol):
    """The Telegram bot. False or an exception: the user was not told (403 for ever, once they blocked the bot)."""

    async def send_message(self, user_id: int, text: str, /) -> bool: ...


class Provider(Protocol):
    """YooKassa or Platega, asked by the poller about one payment."""

    async def is_paid(self, payment_id: str, /) -> bool: ...


class Servers(Protocol):
    """The V2Ray servers behind `ProtocolFactory`; every call goes over the network and may raise."""

    async def create_key(self, server_id: int, user_id: int, /) -> str: ...

    async def reset_traffic(self, server_id: int, key_uuid: str, /) -> bool: ...


@dataclass(frozen=True, slots=True)
class Deployment:
    """Everything outside the deployed code that it calls."""

    open_async_connection: OpenAsyncConnection
    notifier: Notifier
    provider: Provider
    servers: Servers
