"""What a detailed run records of a statement. Looking must not change what happens, so each look says where it looks."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from simulator.database.accesses import changed_rows, describe_outcome, snapshot_tables
from simulator.runtime.callsite import calling_code
from simulator.trace import Access

if TYPE_CHECKING:
    from simulator.database.shapes import Shape


class Look:
    """A look at one statement, begun before it is executed.

    Args:
        raw: the connection that will execute it.
        monitor: another connection, which is in no transaction.
        shape: of the statement.
        arguments: the statement and its parameters.
        inside: the connection's transaction has its snapshot. If not, a look inside of it would take one, so it is
            taken from outside, which shows the same.
    """

    def __init__(
        self,
        raw: sqlite3.Connection,
        monitor: sqlite3.Connection,
        shape: Shape,
        arguments: tuple[Any, ...],
        *,
        inside: bool,
    ) -> None:
        self._raw = raw
        self._shape = shape
        self._arguments = arguments
        self._before = snapshot_tables(raw if inside else monitor, shape.footprint.writes)
        self._changed: tuple[str, ...] = ()
        self._commits = False

    def after(self) -> None:
        """The statement has been executed; the connection still has its transaction, if it has one."""
        writes = self._shape.footprint.writes
        self._changed = tuple(changed_rows(self._before, snapshot_tables(self._raw, writes)))
        self._commits = bool(writes) and not self._raw.in_transaction

    def done(self, result: Any, transaction: int) -> Access:
        """What came of it."""
        outcome = describe_outcome(self._raw, self._shape, self._arguments, result, None)
        return self._access(outcome, transaction, "commit" if self._commits else "")

    def failed(self, error: sqlite3.Error, transaction: int) -> Access:
        """It raised."""
        return self._access(f"{type(error).__name__}: {error}", transaction, "")

    def _access(self, outcome: str, transaction: int, ends: str) -> Access:
        sql, *parameters = self._arguments
        return Access(
            sql=sql,
            parameters=repr(parameters[0]) if parameters else "",
            outcome=outcome,
            changed=self._changed,
            reads=self._shape.footprint.reads,
            writes=self._shape.footprint.writes,
            site=calling_code(),
            transaction=transaction,
            ends=ends,
        )


def ended(
    what: str, transaction: int, *, writes: tuple[str, ...] = (), error: sqlite3.Error | None = None
) -> Access:
    """A transaction's end, or an end that SQLite refused."""
    return Access(
        sql=what,
        writes=writes,
        site=calling_code(),
        transaction=transaction,
        outcome=f"{type(error).__name__}: {error}" if error is not None else "",
        ends="" if error is not None else what.partition(" ")[0].lower(),
    )
