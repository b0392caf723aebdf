"""What a statement is, from its text: a label for schedules, a footprint of tables, what it locks and what it leaves.

SQLite itself is asked, once for each text, by an EXPLAIN: its authorizer tells which tables are read and written, through
views and triggers too, and the compiled program tells whether the statement takes a snapshot or the write lock. It is
asked on the template, never on the file: a label may depend on the schema and on nothing that any execution did. So a
statement about a table that was made on the way has a label without tables.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

_WRITES = {sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE}
_CONTROL = {"BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE"}
_COMMENT = re.compile(r"\A(?:\s+|--[^\n]*(?:\n|\Z)|/\*.*?\*/)+", re.DOTALL)
CHANGES_SCHEMA = {"ALTER", "ANALYZE", "CREATE", "DROP"}  # statistics change plans, and so the order of rows
# Such a connection is not used again: nobody lists all that these may leave behind (settings, temporary tables, names).
_STAYS_BEHIND = {"PRAGMA", "ATTACH", "DETACH"} | CHANGES_SCHEMA
_WRITING_VERBS = {"INSERT", "UPDATE", "DELETE", "REPLACE"} | CHANGES_SCHEMA
SEQUENCES = "sqlite_sequence"
"""SQLite's own table of what AUTOINCREMENT has given."""
_CHANCE = {"random", "randomblob"}
_MAIN = 0  # the number of the database that is the file; 1 is the temporary one


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
        rolls_back: it is ROLLBACK, and not to a savepoint.
        locks: it takes the write lock.
        looks: it takes a snapshot.
        taints: it changes the connection for whoever uses it next.
        repeatable: asked twice, it answers the same.
        replaces: rows may have to make room for what it writes (REPLACE, OR REPLACE).
    """

    label: str
    verb: str
    footprint: Footprint
    commits: bool = False
    rolls_back: bool = False
    locks: bool = False
    looks: bool = False
    taints: bool = False
    repeatable: bool = True
    replaces: bool = False

    @property
    def runs(self) -> bool:
        """Whether it was understood and does more than to begin or end something: then an error came while it ran."""
        return self.verb not in _CONTROL and not self.taints


def without_comment(sql: str) -> str:
    """A statement without the blanks and comments before it."""
    return _COMMENT.sub("", sql).rstrip()


class Shapes:
    """Knows the shape of every statement it was asked about.

    Args:
        connection: has the scenario's schema, and keeps it.
    """

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
        words = without_comment(sql).upper().replace(";", " ").replace("=", " = ").split()
        verb = words[0] if words else ""
        if verb in _CONTROL:
            return _control(verb, words)
        notes = _Notes()
        with self._where_to_ask(verb) as connection:
            program = _explain(connection, sql, _blanks(parameters), notes)
        tables = ", ".join(notes.footprint.writes or notes.footprint.reads)
        return Shape(
            label=" ".join(words[:2] if verb == "PRAGMA" else [verb, tables]).strip(),
            verb=verb,
            footprint=notes.footprint,
            locks=not _WRITING_VERBS.isdisjoint(words) if program is None else _opens(program, writing=True),
            looks=program is None or _opens(program, writing=False),
            # Python keeps what it has compiled: a statement about a table that was made on the way would be known.
            taints=program is None or verb in _STAYS_BEHIND,
            repeatable=program is not None and notes.repeatable,
            replaces="REPLACE" in words,
        )

    @contextmanager
    def _where_to_ask(self, verb: str) -> Iterator[sqlite3.Connection]:
        if verb != "PRAGMA":
            yield self._connection
            return
        scratch = sqlite3.connect(":memory:")  # some take effect when they are compiled
        try:
            self._connection.backup(scratch)
            yield scratch
        finally:
            scratch.close()


class _Notes:
    """What the authorizer was asked about."""

    def __init__(self) -> None:
        self._reads: set[str] = set()
        self._writes: set[str] = set()
        self.repeatable = True

    @property
    def footprint(self) -> Footprint:
        return Footprint(tuple(sorted(self._reads)), tuple(sorted(self._writes)))

    def note(self, action: int, first: str | None, second: str | None, _database: Any, _trigger: Any) -> int:
        if action == sqlite3.SQLITE_FUNCTION and second in _CHANCE:
            self.repeatable = False
        elif first is not None and (not first.startswith("sqlite_") or first == SEQUENCES):
            if action == sqlite3.SQLITE_READ:
                self._reads.add(first)
            elif action in _WRITES and first != SEQUENCES:  # by itself, when a table with AUTOINCREMENT is
                self._writes.add(first)
        return sqlite3.SQLITE_OK


def _explain(connection: sqlite3.Connection, sql: str, parameters: Any, notes: _Notes) -> list[Any] | None:
    connection.set_authorizer(notes.note)
    try:
        return connection.execute(f"EXPLAIN {sql}", parameters).fetchall()
    except sqlite3.Error:
        return None  # it is wrong, and whoever sent it will hear so from the engine itself; or a table is missing here
    finally:
        connection.set_authorizer(None)


def _control(verb: str, words: list[str]) -> Shape:
    to_savepoint = verb == "ROLLBACK" and "TO" in words
    label = " ".join(words[:2]) if verb == "BEGIN" else "ROLLBACK TO" if to_savepoint else verb
    return Shape(
        label,
        verb,
        Footprint(),
        commits=verb in {"COMMIT", "END"},
        rolls_back=verb == "ROLLBACK" and not to_savepoint,
        locks=verb == "BEGIN" and not {"IMMEDIATE", "EXCLUSIVE"}.isdisjoint(words),
    )


def _opens(program: Iterable[Any], *, writing: bool) -> bool:
    return any(
        operation == "Transaction" and database == _MAIN and bool(level) == writing
        for _, operation, database, level, *_ in program
    )


def _blanks(parameters: Any) -> Any:
    """As many parameters, without their values: no adapter is to run an additional time."""
    if isinstance(parameters, Mapping):
        return dict.fromkeys(parameters)
    return (None,) * len(parameters) if parameters else ()
