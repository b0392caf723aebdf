"""What differs between the databases, as data: the rest of the storage room asks a `Flavour` and has no ``if sqlite``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import URL


@dataclass(frozen=True, slots=True, kw_only=True)
class Flavour:
    """One database engine as the storage room sees it.

    Args:
        drivername: SQLAlchemy's word for dialect and driver, as it stands in the URL.
        begin_writing: the statement that opens a writing transaction, or None where the driver says it by itself.
        begin_reading: the first statement of a reading transaction.
        dialect_facts: what SQLAlchemy would otherwise ask the server on the first connection.
        require_driver: raises `ModuleNotFoundError`, naming the extra to install, when the driver is missing.
        connector: makes the production `Connect` for a URL.
        may_hang_up: whether a connection can break while nobody uses it, so that it is tried out before it is lent again.
        conflict: says why an error of the driver asks for the whole transaction again, or None when it does not.
    """

    drivername: str
    begin_writing: str | None
    begin_reading: str
    dialect_facts: Mapping[str, Any]
    require_driver: Callable[[], None]
    connector: Callable[[URL], Callable[[], Awaitable[Any]]]
    may_hang_up: bool
    conflict: Callable[[BaseException], str | None]
