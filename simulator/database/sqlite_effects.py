"""What each step on a SQLite connection did, as other connections could notice it (`simulator.effects`).

In WAL mode a statement that reads is served from a snapshot, so its look belongs to the step that took the snapshot.
Rows become visible at COMMIT. There is one write lock; whoever wants it while it is held attempts in vain, which is a read
of the lock. Who holds a snapshot and wants to write fails if anybody committed since, which is a read of the database's
version, at the snapshot and at the attempt. What a transaction reads while it holds the lock nobody can change.

Images of rows come from temporary triggers, which see cascades too; a table that cannot have any, and one in a schema
that has triggers of its own, is written as a whole.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from simulator.database.predicates import Predicates
from simulator.database.shapes import SEQUENCES
from simulator.effects import CHANGES, LOCK, VERSION, Collected, Look, Row, canonical

if TYPE_CHECKING:
    from simulator.database.shapes import Shape
    from simulator.trace import Trace

_NOTE = "turnstile_row"
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'"
_COLUMNS_MAX = 90  # SQLite's functions take 100 arguments where it was built with the lowest usual limit
_OF_THE_CONNECTION = {
    "busy_timeout",
    "cache_size",
    "foreign_keys",
    "journal_mode",
    "synchronous",
    "temp_store",
}


class RowNotes:
    """Knows the tables of a schema, and hears of rows that change.

    Args:
        template: the freshly made schema.
    """

    def __init__(self, template: sqlite3.Connection) -> None:
        self.columns: dict[str, tuple[str, ...]] = {}
        self._triggers: list[str] = []
        self._noted: list[Row] = []
        self._old: Row | None = None
        self._seen: set[str] = set()
        self._numbered: set[str] = set()
        own = template.execute("SELECT 1 FROM sqlite_master WHERE type = 'trigger'").fetchone()
        for (name,) in template.execute(_TABLES).fetchall():
            columns = [str(row[1]) for row in template.execute(f"PRAGMA table_xinfo({quoted(name)})")]
            self.columns[name.lower()] = tuple(column.lower() for column in columns)
            sql = self._sql(template, name)
            if re.search(r"\bAUTOINCREMENT\b", sql):
                self._numbered.add(name.lower())
            if not own and len(columns) <= _COLUMNS_MAX and _tells_rows(sql):
                self._seen.add(name.lower())
                self._triggers += _triggers(name, columns)

    def install(self, raw: sqlite3.Connection) -> None:
        """Prepares a new connection."""
        raw.create_function(_NOTE, -1, self._note)
        for trigger in self._triggers:
            raw.execute(trigger)

    def forget(self) -> None:
        """A statement begins."""
        self._noted.clear()

    def rows(self, tables: Sequence[str]) -> tuple[list[Row], int]:
        """The images that a statement left behind, and how many tables are given as a whole for want of them."""
        unseen = [table.lower() for table in tables if table.lower() not in self._seen]
        numbers = [Row(SEQUENCES) for table in tables if table.lower() in self._numbered]
        return self._noted + [Row(table) for table in unseen] + numbers, len(unseen)

    def _note(self, table: str, which: str, *values: Any) -> None:
        image = tuple(
            sorted(zip(self.columns[table.lower()], (canonical(value) for value in values), strict=True))
        )
        row = Row(table.lower(), image)
        if which == "was":
            self._old = row
        elif which == "is" and self._old is not None:
            if row != self._old:  # a row that was written and stayed as it was tells nobody
                self._noted += [self._old, row]
        else:
            self._noted.append(row)

    @staticmethod
    def _sql(template: sqlite3.Connection, table: str) -> str:
        sql = template.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]
        return " ".join(str(sql).upper().split())


def _tells_rows(sql: str) -> bool:
    """Whether triggers of a table with this definition hear of all its rows: of those that make room for others none does."""
    return not sql.startswith("CREATE VIRTUAL") and "ON CONFLICT REPLACE" not in sql


def _triggers(table: str, columns: Sequence[str]) -> list[str]:
    def note(which: str, alias: str) -> str:
        values = ", ".join(f"{alias}.{quoted(column)}" for column in columns)
        return f"SELECT {_NOTE}({_text(table)}, '{which}', {values});"

    def trigger(event: str, body: str) -> str:
        name = quoted(f"turnstile {event} {table}")
        return f"CREATE TEMP TRIGGER {name} AFTER {event} ON main.{quoted(table)} BEGIN {body} END"

    return [
        trigger("INSERT", note("came", "new")),
        trigger("DELETE", note("went", "old")),
        trigger("UPDATE", note("was", "old") + note("is", "new")),
    ]


def quoted(name: str) -> str:
    """A name as SQL spells it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


class ConnectionEffects:
    """Collects the effects of one connection's statements.

    Args:
        notes: of the door.
        predicates: of the door.
    """

    def __init__(self, notes: RowNotes, predicates: Predicates) -> None:
        self._notes = notes
        self._predicates = predicates
        self._snapshot = 0  # the step that took it
        self._rows: set[Row] = set()
        self._unsure = 0
        self._holds = self._looking = False
        self._patient = True
        self._wrote = self._changed = False  # in the transaction that holds the lock

    def begin(self, *, holds_lock: bool, looking: bool, patient: bool) -> None:
        """A statement is about to be carried out on a connection that is in this state."""
        self._holds, self._looking, self._patient = holds_lock, looking, patient
        self._notes.forget()

    def done(self, trace: Trace, shape: Shape, arguments: Sequence[Any], *, inside: bool) -> None:
        """It was carried out."""
        here = trace.collect()
        if shape.taints and not _is_of_the_connection(shape):
            here.everything = True
            return
        if shape.locks:
            self._wrote = self._wrote or shape.verb != "BEGIN"
            changed = self._note_rows(shape)
            if not changed:
                self._look_under_the_lock(here, shape, arguments)
            if not self._holds:
                self._take(trace, here)
                self._might_write(here, shape, arguments, inside=inside)
        elif shape.looks and self._holds:
            self._look_under_the_lock(here, shape, arguments)
        elif shape.looks:
            if not self._looking:
                self._snapshot = len(trace.steps) - 1
                if inside:  # what else will be read from the snapshot depends on what is read
                    here.might().add(reads=[VERSION])
            parameters = arguments[1] if len(arguments) > 1 else None
            looks, unsure = self._predicates.looks(arguments[0], parameters, shape.footprint.reads)
            trace.collect(self._snapshot).add(looks=looks, unsure=unsure)
        if (self._holds or shape.locks) and not inside:
            self.ended(trace, committed=True)

    def failed(
        self, trace: Trace, shape: Shape, arguments: Sequence[Any], error: sqlite3.Error, *, inside: bool
    ) -> None:
        """SQLite refused it, or broke it off."""
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code == sqlite3.SQLITE_BUSY:
            trace.collect().add(reads=[LOCK])
            trace.collect().attempts = True
            self._compare_versions(trace)
            self._might_write(trace.collect(), shape, arguments, inside=inside)
        elif code not in {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISUSE} or self._holds or shape.runs:
            self._changed = True  # that it failed may be due to any row
            self.done(trace, shape, arguments, inside=inside)  # what it had done until then

    def returned(self, trace: Trace) -> None:
        """Rows of a statement with RETURNING were fetched; with the last of them the lock is free."""
        trace.collect().add(writes=[LOCK])
        trace.collect().attempts = True

    def ended(self, trace: Trace, *, committed: bool) -> None:
        """The transaction that holds the lock is over."""
        here = trace.collect()
        here.give_back(LOCK)
        if self._changed:
            here.add(writes=[CHANGES])
        if committed and self._wrote:
            here.add(bumps=[VERSION], rows=self._rows, unsure=self._unsure)
        self._rows.clear()
        self._unsure = 0
        self._wrote = self._changed = False

    def _take(self, trace: Trace, here: Collected) -> None:
        here.take(LOCK, waits=self._patient and not self._looking)
        self._compare_versions(trace)

    def _might_write(self, here: Collected, shape: Shape, arguments: Sequence[Any], *, inside: bool) -> None:
        """Whether it gets the lock, and which rows it finds, depends on who came before."""
        might = here.might()
        might.add(writes=[LOCK])
        if not inside:
            parameters = arguments[1] if len(arguments) > 1 else None
            rows = self._predicates.rows(arguments[0], parameters, shape.footprint.writes)
            might.add(bumps=[VERSION], rows=rows)

    def _compare_versions(self, trace: Trace) -> None:
        if self._looking:
            for step in (self._snapshot, None):
                trace.collect(step).add(reads=[VERSION])

    def _look_under_the_lock(self, here: Collected, shape: Shape, arguments: Sequence[Any]) -> None:
        """What a statement that changed nothing has looked at: which rows are there to be changed, too."""
        parameters = arguments[1] if len(arguments) > 1 else None
        looks, unsure = self._predicates.looks(arguments[0], parameters, shape.footprint.reads)
        here.add(looks=looks, unsure=unsure)
        here.add(looks=[Look(table.lower()) for table in shape.footprint.writes])

    def _note_rows(self, shape: Shape) -> bool:
        rows, unsure = self._notes.rows(shape.footprint.writes)
        if shape.replaces:  # the rows that make room are deleted without a trigger
            rows += [Row(table.lower()) for table in shape.footprint.writes]
            unsure += len(shape.footprint.writes)
        self._rows.update(rows)
        self._unsure += unsure
        self._changed = self._changed or bool(rows)
        return bool(rows)


def _is_of_the_connection(shape: Shape) -> bool:
    """Whether a PRAGMA concerns nobody else."""
    return shape.verb == "PRAGMA" and any(
        f"PRAGMA {name}".upper() in shape.label.upper() for name in _OF_THE_CONNECTION
    )
