"""What each step on a PostgreSQL connection did, as other connections could notice it (`simulator.effects`).

READ COMMITTED, as the door has it: each statement has a snapshot of its own, so its looks belong to its own step. What a
transaction writes becomes visible at COMMIT. Locks are told as rows of shadow tables (`postgresql_touch`): a statement has
looks and rows there, and whoever ends a transaction (COMMIT, ROLLBACK, an error, a crash) has all rows of its locks once
more, for then they are gone.

The hard part is a statement that waits:

* The attempt is a step. It closes a circle of waiting lanes or does not, which depends on all who wait for each other: so it
  also looks at who waits for any lock of those with whom it is now bound up.
* It goes on *in the step that gives the lock back*, and looks, locks and perhaps commits there: so that step has its effects
  too. What it finds then is no longer what it had looked for, where others changed it meanwhile: a lock that is had after a
  wait is known by what nobody assigned.

Everything else is the safe side: a transaction above READ COMMITTED conflicts with everything until it ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from simulator.database.postgresql_statements import ADVISORY, setting
from simulator.database.postgresql_touch import KEY, UPDATE, Held, Touch, Touched, shadow
from simulator.effects import VERSION, Collected, Look, Row, sees

if TYPE_CHECKING:
    from simulator.database.postgresql_flight import Operation
    from simulator.database.postgresql_keys import Keys
    from simulator.database.postgresql_statements import Statements
    from simulator.runtime.conductor import Conductor

_SESSION_LOCK = Row(shadow(ADVISORY, UPDATE))


class ConnectionEffects:
    """Collects the effects of one connection.

    Args:
        conductor: has the trace.
        statements: of the door; None where nobody wants to know.
        keys: of the door.

    Attributes:
        held: the locks that its transaction has or has asked for.
    """

    def __init__(self, conductor: Conductor, statements: Statements | None, keys: Keys) -> None:
        self._conductor = conductor
        self._statements = statements
        self._keys = keys
        self.held = Held()
        self._now: list[Touched] = []  # the statement that was sent last
        self._rows: dict[Row, None] = {}
        self._late: list[Touched] = []
        self._assigned: set[tuple[str, str]] = set()
        self._stays = ""
        self._session_locks = self._savepoints = self._told = self._holding = False

    @property
    def _on(self) -> bool:
        return self._told and self._statements is not None and not self._conductor.killed

    def begun(self, sql: str) -> None:
        """The driver opens a transaction, or a savepoint."""
        if self._statements is not None:
            self._stay(setting(sql))
            self._savepoints = self._savepoints or sql.startswith("SAVEPOINT")

    def sent(self, operation: Operation, *, inside: bool, told: bool) -> None:
        """A statement is about to be sent.

        Args:
            operation: announces it.
            inside: it is part of a transaction that goes on after it.
            told: a lane sends it; what the scenario does by itself is no step.
        """
        self._told = told
        if not self._on:
            return
        assert self._statements is not None
        here = self._conductor.trace.collect()
        self._now = self._statements.touched(operation)
        if operation.kind == "commit" and self._late:
            # What was put off is checked now: it may look, wait and fail.
            self._now = list(self._late)
            here.might().add(rows=self._rows, bumps=[VERSION])
        if operation.shape.label.startswith("ROLLBACK TO"):
            here.add(rows=self.held.rows)
            self.held.forget_sure()
        here.everything = here.everything or bool(self._stays)
        for touched in self._now:
            touch = touched.touch
            here.everything = here.everything or touch.everything
            here.add(unsure=touch.unsure, reads=touch.reads, writes=touch.writes)
            self._stay(touch)
            self._session_locks = self._session_locks or touch.session
        self._might(here, inside=inside)
        self._holding = bool(self.held.rows) or not self._waits_at_most_once()
        self._meet(here)

    def _might(self, here: Collected, *, inside: bool) -> None:
        """In another order it may not have to wait, may have to, or may fail."""
        if any(touched.rows for touched in self._now) and not inside:
            rows = [row for touched in self._now for row in touched.data()]
            here.might().add(rows=rows, bumps=[VERSION])
        if self.held.rows and any(touched.locks or touched.wanted for touched in self._now):
            here.might().add(rows=self.held.rows, looks=self.held.awaited())

    def _meet(self, here: Collected) -> None:
        """What is sent looks at rows and at locks, and takes some."""
        for touched in self._now:
            here.add(looks=touched.looks)
            here.add(looks=touched.asks(self.held))
            locks = touched.takes(self.held)
            here.add(rows=locks)
            self.held.add(locks)
            self._rows.update(dict.fromkeys(touched.data()))
            self._assigned |= touched.touch.assigned
            if touched.touch.late and touched not in self._late:
                self._late.append(touched)

    def _stay(self, touch: Touch) -> None:
        if touch.stays and self._stays != "session":
            self._stays = touch.stays

    # Waiting -----------------------------------------------------------------------------------------------

    def waits(self, circle: Iterable[ConnectionEffects]) -> None:
        """The statement waits for a lock, and is by that bound up with others: itself, whom it waits for, and so on.

        Who has no lock while it waits is in no circle.
        """
        if self._on and self._holding:
            here = self._conductor.trace.collect()
            here.add(rows=[row for touched in self._now for row in touched.waits()])
            for each in circle:
                if each._holding:
                    here.add(looks=each.held.awaited())

    def overtaken(self, by: ConnectionEffects) -> None:
        """While the statement waits, another transaction is committed."""
        for touched in self._now:
            touched.astray = touched.astray or bool(by._stays)
            touched.stale |= by._assigned

    def goes_on(self) -> None:
        """A lock was given back, and the statement goes on, to its end or to the next lock, in the step that is being made."""
        if self._on:
            here = self._conductor.trace.collect()
            here.everything = here.everything or bool(self._stays)
            self._meet(here)

    # The end -----------------------------------------------------------------------------------------------

    def found(self, count: int) -> None:
        """The statement gave or changed so many rows."""
        row = self._one_row()
        if count == 1 and row is not None:
            self.held.has(self._now[0].locks[0][0], row)
            if self._now[0].rows:
                self.held.has(KEY, row)

    def _waits_at_most_once(self) -> bool:
        """Whether the statement has no lock of its own yet when it waits: it locks one row, or inserts one with one key."""
        inserts_one = len(self._now) == 1 and not self._now[0].locks and len(self._now[0].wanted) <= 1
        return inserts_one or self._one_row() is not None

    def _one_row(self) -> Look | None:
        """The only row that the statement locks, if it locks any, by its key; None where there may be more."""
        if len(self._now) != 1 or not self._now[0].touch.one:
            return None
        (_, at), *_ = self._now[0].locks
        key = self._keys.key_within(at.table, [column for column, _ in at.where])
        return Look(at.table, tuple(each for each in at.where if each[0] in key)) if key is not None else None

    def failed(self, *, waiting: Sequence[ConnectionEffects]) -> None:
        """The statement failed within a transaction: its locks are free at once, or those since the last savepoint."""
        self._give_back(waiting)
        self.held.forget_sure()
        if not self._savepoints:
            self.held.clear()
            self._rows.clear()

    def _give_back(self, waiting: Sequence[ConnectionEffects]) -> None:
        """Locks are free; whoever waits for one of them may go on, even if it only comes to wait for the next holder.

        Whom a statement waits for first, of several who share a lock, is the server's business, and is not to show.
        """
        if self._on:
            self._conductor.trace.collect().add(rows=self.held.rows)
        for each in waiting:
            if each._wants(self.held):
                each.goes_on()

    def _wants(self, held: Held) -> bool:
        looks = [look for touched in self._now for look in touched.asks(self.held)]
        return any(sees(look, row) for look in looks for row in held.rows)

    def ended(self, *, committed: bool, waiting: Sequence[ConnectionEffects] = ()) -> None:
        """The transaction is over; ``waiting``: all who wait for a lock."""
        self._give_back(waiting)
        if self._on:
            here = self._conductor.trace.collect()
            here.everything = here.everything or bool(self._stays)
            if committed:
                here.add(rows=self._rows, bumps=[VERSION])
        self.held.clear()
        self._now = []
        self._late.clear()
        self._rows.clear()
        self._assigned.clear()
        self._savepoints = False
        if self._stays == "transaction":
            self._stays = ""

    def released(self, *, waiting: Sequence[ConnectionEffects]) -> None:
        """The session is over: what was open is rolled back, what it locked is free."""
        self.ended(committed=False, waiting=waiting)
        if self._session_locks and self._on:
            self._conductor.trace.collect().add(rows=[_SESSION_LOCK])
