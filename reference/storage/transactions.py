"""The one place that begins, commits and tries again; it never talks to anybody but the database.

Two rules of the house are enforced here at run time, because each is easy to break by accident and expensive afterwards:

* No foreign call inside a transaction. A provider may take 30 s to answer, and the row locks (on SQLite: the only writer)
  would be held that long. `outside_transactions` wraps a port so that such a call raises.
* No transaction inside a transaction. The inner one has a connection of its own, and would wait for the outer one for ever.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, TypeVar, cast

import trio
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from reference.storage.engine import TrioEngine

T = TypeVar("T")
Port = TypeVar("Port")
Work = Callable[[AsyncConnection], Awaitable[T]]

ATTEMPTS_MAX = 5
BACKOFF_FIRST_S = (
    0.05  # doubled each time: 0.05, 0.1, 0.2, 0.4; then the caller, who has a durable job, comes back later
)
# No jitter: of two transactions in conflict the database lets one go on, so two victims of the same conflict do not exist.

_current: ContextVar[str | None] = ContextVar("the transaction this task is in", default=None)


class TransactionConflictError(Exception):
    """Every attempt met a conflict with another transaction; nothing was written, and trying again later is right."""


class ForeignCallError(AssertionError):
    """Our mistake: a flow called a remote service while it held a transaction open."""


class NestedTransactionError(AssertionError):
    """Our mistake: a flow began a transaction inside another one."""


async def atomically(engine: TrioEngine, work: Work[T]) -> T:
    """Run `work` in one writing transaction: all of it, or nothing.

    SQLite: ``BEGIN IMMEDIATE``, so there is one writer at a time. PostgreSQL: READ COMMITTED, so `work` locks the row that
    it decides about (the user's) before it reads anything it decides by.

    Args:
        engine: from `open_engine`.
        work: is given the connection, and may run several times; it must not keep anything from a failed attempt.

    Returns:
        What the attempt that was committed returned.

    Raises:
        TransactionConflictError: `ATTEMPTS_MAX` attempts met "database is locked", a deadlock or a serialization failure.
        Exception: whatever else `work` raises, after the rollback.
    """
    for attempt in range(1, ATTEMPTS_MAX + 1):
        try:
            return await _once(engine, work)
        except DBAPIError as error:
            why = engine.flavour.conflict(error.orig) if error.orig is not None else None
            if why is None:
                raise
            if attempt == ATTEMPTS_MAX:
                raise TransactionConflictError(
                    f"{_name(work)}: {ATTEMPTS_MAX} attempts, the last one failed with: {why}"
                ) from error
        await trio.sleep(BACKOFF_FIRST_S * 2 ** (attempt - 1))
    raise AssertionError("the loop returns or raises")


async def reading(engine: TrioEngine, work: Work[T]) -> T:
    """Run `work` on one snapshot of committed data; nothing that it writes survives.

    No retries: a reader waits for nobody on either engine.
    """
    with _inside(work):
        async with engine.snapshot() as connection:
            return await work(connection)


async def _once(engine: TrioEngine, work: Work[T]) -> T:
    with _inside(work):
        async with engine.begin() as connection:
            return await work(connection)


class _inside:  # noqa: N801 - reads as a word at its two uses
    """Marks the task as being in a transaction; a plain class, because a generator would add frames to every traceback."""

    def __init__(self, work: Work[Any]) -> None:
        self._work = work

    def __enter__(self) -> None:
        outer = _current.get()
        if outer is not None:
            raise NestedTransactionError(
                f"{_name(self._work)} begins a transaction inside the one of {outer}; do it after, or pass the connection on"
            )
        self._token = _current.set(_name(self._work))

    def __exit__(self, *_exception: object) -> None:
        _current.reset(self._token)


def _name(work: Work[Any]) -> str:
    function = getattr(work, "func", work)  # the function of a functools.partial
    return getattr(function, "__qualname__", type(function).__name__)


def outside_transactions(port: Port) -> Port:
    """Wrap a port so that calling it inside a transaction raises `ForeignCallError`.

    Args:
        port: anything with async methods; its other attributes pass through.
    """
    return port if isinstance(port, _OutsideTransactions) else cast(Port, _OutsideTransactions(port))


class _OutsideTransactions:
    __slots__ = ("_port",)

    def __init__(self, port: object) -> None:
        self._port = port

    def __repr__(self) -> str:
        return repr(self._port)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._port, name)
        if not iscoroutinefunction(attribute):
            return attribute

        @wraps(attribute)
        async def call(*args: Any, **kwargs: Any) -> Any:
            holder = _current.get()
            if holder is not None:
                raise ForeignCallError(
                    f"{type(self._port).__name__}.{name} was called inside the transaction of {holder}; call it before or after"
                )
            return await attribute(*args, **kwargs)

        return call
