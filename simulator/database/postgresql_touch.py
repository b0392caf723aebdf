"""What a PostgreSQL statement touches, as a value: before its parameters are known (`Touch`), and after (`Touched`).

Locks are told as data of shadow tables: whoever holds one has a row there, whoever wants one looks for rows of every mode
that its own conflicts with. So the modes of row locks keep each other out exactly as PostgreSQL's documentation has it
("Explicit locking", table 13.3), and rows that are known to be different do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from simulator.database.predicates import Canonical, Template, bound
from simulator.effects import Look, Resource, Row, Values

KEY_SHARE, SHARE, NO_KEY_UPDATE, UPDATE = "key share", "share", "no key update", "update"
KEY = "key"
"""The mode in which an uncommitted INSERT, UPDATE or DELETE holds the unique keys of its rows; an INSERT asks for it."""

CONFLICTS = {
    KEY_SHARE: (UPDATE,),
    SHARE: (NO_KEY_UPDATE, UPDATE),
    NO_KEY_UPDATE: (SHARE, NO_KEY_UPDATE, UPDATE),
    UPDATE: (KEY_SHARE, SHARE, NO_KEY_UPDATE, UPDATE),
}
_STRENGTH = {mode: strength for strength, mode in enumerate(CONFLICTS)}
SEQUENCES: Resource = ("sequences",)
_AWAITED = "those who wait"
_BETWEEN = " locked for "


def shadow(table: str, mode: str) -> str:
    """The name of the table in which locks of a mode are rows; no real table has such a name."""
    return f"{table}{_BETWEEN}{mode}"


def table_of(shadowed: str) -> str:
    """The table whose locks are rows of a shadow table."""
    return shadowed.rpartition(_BETWEEN)[0]


@dataclass(frozen=True, slots=True)
class Lock:
    """Rows of one table that a statement locks.

    Attributes:
        mode: one of the four.
        at: which rows; whatever is not in here may be anything.
    """

    mode: str
    at: Template


@dataclass(frozen=True, slots=True)
class Touch:
    """What a statement touches.

    Attributes:
        looks: at committed rows.
        rows: that become visible when it is committed, as far as they are known before and after.
        locks: of rows, held to the transaction's end.
        keys: which unique keys it holds to the transaction's end.
        wanted: which unique keys it waits for.
        assigned: columns to which it gives values, by table.
        reads: resources.
        writes: resources.
        unsure: how many of its tables are taken as a whole because its text was not understood.
        everything: it conflicts with every step.
        stays: what it does lasts, unseen, to the transaction's end (``transaction``) or the session's (``session``), so
            that all that comes after it there conflicts with every step too.
        late: it may look, and wait, at COMMIT once more.
        session: it takes locks that outlive the transaction.
        one: it locks nothing but the rows of its one lock, those that it gives or changes.
    """

    looks: tuple[Template, ...] = ()
    rows: tuple[Template, ...] = ()
    locks: tuple[Lock, ...] = ()
    keys: tuple[Template, ...] = ()
    wanted: tuple[Template, ...] = ()
    assigned: frozenset[tuple[str, str]] = frozenset()
    reads: tuple[Resource, ...] = ()
    writes: tuple[Resource, ...] = ()
    unsure: int = 0
    everything: bool = False
    stays: str = ""
    late: bool = False
    session: bool = False
    one: bool = False

    def bind(self, parameters: Any, canonical: Canonical) -> Touched:
        """With its parameters."""

        def of(templates: Iterable[Template]) -> list[Look]:
            return [bound(template, parameters, canonical) for template in templates]

        locks = [(lock.mode, bound(lock.at, parameters, canonical)) for lock in self.locks]
        return Touched(self, of(self.looks), of(self.rows), locks, of(self.keys), of(self.wanted))


NO_TOUCH = Touch()
ANYTHING = Touch(everything=True, unsure=1, stays="transaction")


@dataclass(slots=True)
class Touched:
    """What one execution of a statement touches; ``Look`` stands for a table and what is known of some of its rows.

    Attributes:
        touch: what it was before the parameters were known.
        stale: columns that others have changed since it was sent: what it finds there may be something else.
        astray: others may have changed any column.
    """

    touch: Touch
    looks: list[Look]
    rows: list[Look]
    locks: list[tuple[str, Look]]
    keys: list[Look]
    wanted: list[Look]
    stale: set[tuple[str, str]] = field(default_factory=set)
    astray: bool = False

    def data(self) -> list[Row]:
        """The images that become visible."""
        return [Row(look.table, look.where) for look in self.rows]

    def asks(self, held: Held) -> list[Look]:
        """Looks for the locks that it may have to wait for."""
        looks = [
            Look(shadow(at.table, each), at.where)
            for mode, at in self.locks
            if not held.surely(mode, at)
            for each in CONFLICTS[mode]
        ]
        return looks + [Look(shadow(at.table, KEY), at.where) for at in self.wanted]

    def takes(self, held: Held) -> list[Row]:
        """The locks that it may get, as rows."""
        found = [(mode, at) for mode, at in self.locks if not held.surely(mode, at)]
        found += [(KEY, at) for at in self.keys if not held.surely(KEY, at)]
        return [Row(shadow(at.table, mode), self._fresh(at)) for mode, at in found]

    def waits(self) -> list[Row]:
        """What it waits for, if it has to: as rows of one more shadow table, in which only those who wait have any."""
        wanted = [*(at for _, at in self.locks), *self.wanted]
        return [Row(shadow(at.table, _AWAITED), self._fresh(at)) for at in wanted]

    def _fresh(self, at: Look) -> Values:
        """What is still known of rows that were met after a wait: a lock stays on a row that is no longer a match."""
        if self.astray:
            return ()
        return tuple((column, value) for column, value in at.where if (at.table, column) not in self.stale)


class Held:
    """The locks that one transaction has, or has asked for."""

    def __init__(self) -> None:
        self.rows: dict[Row, None] = {}
        self._sure: list[tuple[str, Look]] = []

    def add(self, rows: Iterable[Row]) -> None:
        """More of them."""
        self.rows.update(dict.fromkeys(rows))

    def has(self, mode: str, at: Look) -> None:
        """One is known to be had, on the one row that there is with these values."""
        self._sure.append((mode, at))

    def surely(self, mode: str, at: Look) -> bool:
        """Whether the rows in question are known to be locked already: then nobody is waited for and nobody notices."""
        return any(
            has.table == at.table and _covers(strong, mode) and set(has.where) <= set(at.where)
            for strong, has in self._sure
        )

    def forget_sure(self) -> None:
        """Some may have been given back."""
        self._sure.clear()

    def awaited(self) -> list[Look]:
        """Who waits for one of them."""
        return [Look(shadow(table_of(row.table), _AWAITED), row.image or ()) for row in self.rows]

    def clear(self) -> None:
        """All were given back."""
        self.rows.clear()
        self._sure.clear()


def _covers(strong: str, mode: str) -> bool:
    if KEY in (strong, mode):
        return strong == mode
    return _STRENGTH[strong] >= _STRENGTH[mode]


def whole(tables: Iterable[str]) -> tuple[Template, ...]:
    """Templates of whole tables."""
    return tuple(Template(table) for table in tables)


def sets_of(operation_parameters: Any, *, many: bool) -> Sequence[Any]:
    """The parameters of each execution that one operation stands for."""
    return list(operation_parameters) if many else [operation_parameters]
