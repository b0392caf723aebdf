"""What a statement is, from its text: a label for schedules, a footprint of tables, and whether it ends a transaction.

SQLite's own authorizer tells which tables a statement reads and writes, through views and triggers too. It is asked
once for each text, by an EXPLAIN on a connection of its own.
"""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from typing import Any

_WRITES = {
    sqlite3.SQLITE_INSERT: "INSERT",
    sqlite3.SQLITE_UPDATE: "UPDATE",
    sqlite3.SQLITE_DELETE: "DELETE",
}
_CONTROL = {"BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE"}
_COMMENT = re.compile(r"\A(?:\s+|--[^\n]*\n|/\*.*?\*/)+", re.DOTALL)
_STAYS_BEHIND = {"PRAGMA", "ATTACH", "DETACH"}  # such a connection is not used again in another execution


@dataclass(frozen=True, slots=True)
class Footprint:
    """What an operation reads and writes; coarse for now: whole tables. Rows and predicates come later.

    Attributes:
        reads: tables.
        writes: tables.
    """

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()

    def conflicts(self, other: Footprint) -> bool:
        """Whether one of the two writes what the other reads or writes."""
        return any(table in other.reads or table in other.writes for table in self.writes) or any(
            table in self.reads for table in other.writes
        )


@dataclass(frozen=True, slots=True)
class Shape:
    """A statement's shape.

    Attributes:
        label: as schedules name it, such as ``UPDATE payments``.
        verb: its first word, in capitals.
        footprint: the tables that it touches.
        commits: it is COMMIT or END.
        locks: it takes the write lock without writing (BEGIN IMMEDIATE or EXCLUSIVE).
        taints: it changes the connection for whoever uses it next.
    """

    label: str
    verb: str
    footprint: Footprint
    commits: bool = False
    locks: bool = False
    taints: bool = False


class Shapes:
    """Knows the shape of every statement it was asked about."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._known: dict[str, Shape] = {}

    def of(self, sql: str, parameters: Any) -> Shape:
        """The shape of a statement; its parameters are only counted."""
        shape = self._known.get(sql)
        if shape is None:
            shape = self._known[sql] = self._learn(sql, parameters)
        return shape

    def _learn(self, sql: str, parameters: Any) -> Shape:
        plain = _COMMENT.sub("", sql)
        words = plain.upper().replace(";", " ").split()
        verb = words[0] if words else ""
        if verb in _CONTROL:
            label = " ".join(words[:2]) if verb == "BEGIN" and len(words) > 1 else verb
            locks = verb == "BEGIN" and len(words) > 1 and words[1] in {"IMMEDIATE", "EXCLUSIVE"}
            return Shape(label, verb, Footprint(), commits=verb in {"COMMIT", "END"}, locks=locks)
        if verb in _STAYS_BEHIND:
            return Shape(" ".join(words[:2]), verb, Footprint(), taints=True)
        reads, writes = self._tables(sql, parameters)
        tables = writes or reads
        taints = verb in {"CREATE", "DROP", "ALTER"} and "TEMP" in " ".join(words[:3])
        return Shape(" ".join([verb, ", ".join(tables)]).strip(), verb, Footprint(reads, writes), taints=taints)

    def _tables(self, sql: str, parameters: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
        reads: set[str] = set()
        writes: set[str] = set()

        def note(action: int, table: str | None, _detail: Any, _database: Any, _trigger: Any) -> int:
            if table is not None and not table.startswith("sqlite_"):
                if action == sqlite3.SQLITE_READ:
                    reads.add(table)
                elif action in _WRITES:
                    writes.add(table)
            return sqlite3.SQLITE_OK

        self._connection.set_authorizer(note)
        try:
            self._connection.execute(f"EXPLAIN {sql}", parameters if parameters is not None else ()).fetchall()
        except sqlite3.Error:
            pass  # the statement is wrong: whoever sent it will hear so from the engine itself
        finally:
            self._connection.set_authorizer(None)
        return tuple(sorted(reads)), tuple(sorted(writes))
