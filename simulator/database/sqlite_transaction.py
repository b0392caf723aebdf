"""What is known of a connection's transaction. SQLite knows more and tells Python less."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulator.database.shapes import Shape

_LEFT_NOTHING = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISUSE}
_STATEMENT_PROBE = "turnstile_idle"  # a function that is replaced to learn whether a statement is unfinished


class Transaction:
    """Changes with every statement of its connection.

    Attributes:
        number: in this execution; 0 outside of a transaction.
        written: the tables written so far.
        holds_lock: it holds the write lock.
        committed: whether the statement that was noted last made something visible to others.
    """

    __slots__ = ("_looked", "_wrote", "committed", "holds_lock", "number", "written")

    def __init__(self) -> None:
        self.written: list[str] = []
        self.clear()

    def clear(self) -> None:
        """It is over, or has not begun."""
        self.number = 0
        self.written.clear()
        self.holds_lock = False
        self.committed = False
        self._looked = False
        self._wrote = False

    @property
    def section(self) -> int:
        """Its number while it holds the write lock; else 0."""
        return self.number if self.holds_lock else 0

    @property
    def looked(self) -> bool:
        """Whether it holds a snapshot."""
        return self._looked

    @property
    def wrote(self) -> bool:
        """Whether its commit will make something visible."""
        return self._wrote

    def note(self, shape: Shape) -> None:
        """A statement of this shape has been executed inside of it."""
        if shape.footprint.writes:
            self.written += [table for table in shape.footprint.writes if table not in self.written]
        self._looked = self._looked or shape.looks or shape.locks
        self.holds_lock = self.holds_lock or shape.locks
        self._wrote = self._wrote or (shape.locks and shape.verb != "BEGIN")

    def note_error(self, shape: Shape, error: sqlite3.Error) -> None:
        """A statement failed; one that broke a constraint has taken its snapshot and its lock all the same."""
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code not in _LEFT_NOTHING or (code == sqlite3.SQLITE_ERROR and shape.runs):
            self._looked = self._looked or shape.looks or shape.locks
            self.holds_lock = self.holds_lock or shape.locks


def prepare_probe(raw: sqlite3.Connection) -> None:
    """To be called once for a new connection."""
    raw.create_function(_STATEMENT_PROBE, 0, _nothing)


def is_reading(raw: sqlite3.Connection) -> bool:
    """Whether a SELECT of this connection is unfinished, which holds a snapshot outside of a transaction too.

    SQLite refuses to replace a function while a statement runs; nothing else that Python can reach tells.
    """
    try:
        raw.create_function(_STATEMENT_PROBE, 0, _nothing)
    except sqlite3.OperationalError:
        return True
    return False


def _nothing() -> None:
    return None
