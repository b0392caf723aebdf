"""The serial oracle: no claim is given, and the final state of every execution must be one that a serial order gives.

A *serial order* is an execution in which nobody is preempted and nothing goes wrong: each actor goes on as long as it can,
in any order of the actors. Who waits (for a timer, or for what another one does) lets the others in, so each look of a
poller stands for itself. All of them are executed first, with all data that the scenario may choose, by bounded search with
bound 0; their final states are what the program may end in. Any other is reported, with what is different and what kind of
anomaly that is (`simulator.serial_words`).

That is final-state serializability: the weakest of the textbook's notions, and one that needs no invariant and no footprint.
What it cannot see: a program that is wrong in every serial order as well, and a wrong state that ends right.

Columns that differ for no reason of anybody's (a time, a number that was drawn) are declared *volatile* and left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from simulator.errors import SimulatorError
from simulator.execution import Claims
from simulator.report.text import counted
from simulator.schedulers.base import Execute, Limits
from simulator.schedulers.bounded import BoundedSearch
from simulator.serial_words import Rows, State, anomaly_in_words

if TYPE_CHECKING:
    from simulator.execution import Outcome
    from simulator.world import World

NAME = "serializable"
_TABLES = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name",
    "postgresql": "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = current_schema() "
    "AND table_type = 'BASE TABLE' ORDER BY table_name",
}
Data = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Serializable:
    """The final state is one that some serial order of the actors gives."""

    volatile: tuple[str, ...] = ()
    state: Callable[[World], Mapping[str, Any]] | None = None
    orders_max: int = 1_000

    @property
    def __name__(self) -> str:
        return NAME

    def __call__(self, world: World) -> str | None:  # noqa: ARG002
        """It is asked through an exploration, which has executed the serial orders before."""
        raise SimulatorError(
            "serializable() is a claim for eventually=[...]: it needs the serial orders' states"
        )


def serializable(
    *,
    volatile: Sequence[str] = (),
    state: Callable[[World], Mapping[str, Any]] | None = None,
    orders_max: int = 1_000,
) -> Serializable:
    """An ``eventually`` claim for a scenario without any: every execution ends as some serial order of its actors does.

    Args:
        volatile: what may differ: ``column`` (in every table), ``table.column``, or ``table.*`` for a whole table.
        state: what else belongs to the final state, by name (what a provider was told, say); plain values.
        orders_max: how many serial orders are executed at most; with more the claim cannot be judged, and says so.

    Raises:
        TypeError: ``volatile`` is no list.
        ValueError: ``orders_max`` is not positive.
    """
    if isinstance(volatile, str):
        raise TypeError(f"volatile= takes a list of columns; got {volatile!r}")
    if orders_max < 1:
        raise ValueError(f"orders_max must be at least 1; got {orders_max}")
    return Serializable(tuple(volatile), state, orders_max)


@dataclass
class Judge:
    """The claim, once it knows the serial orders of one exploration. It changes while it learns.

    Attributes:
        claim: what was declared.
        learning: whether final states are taken down rather than judged.
        orders: how many serial orders were executed.
    """

    claim: Serializable
    learning: bool = True
    orders: int = 0
    _states: dict[Data, dict[State, None]] = field(default_factory=dict)
    _tables: tuple[str, ...] | None = None

    @property
    def __name__(self) -> str:
        return NAME

    def __call__(self, world: World) -> str | None:
        """The reason why no serial order ends like this."""
        state = self._state_of(world)
        known = self._states.setdefault(self._data_of(world), {})
        if self.learning:
            known[state] = None
            return None
        if state in known:
            return None
        return anomaly_in_words(state, list(known), world.conductor.trace)

    @property
    def details(self) -> str:
        """In words, what executions were compared with."""
        states = sum(len(known) for known in self._states.values())
        return (
            f"every final state is one of {counted(states, 'state')} that {self.orders:,} serial orders give"
        )

    def _data_of(self, world: World) -> Data:
        """What the scenario chose; the moments of faults are no data of it."""
        return tuple(sorted(world.data.items()))

    def _state_of(self, world: World) -> State:
        tables: dict[str, Rows] = {}
        for table in self._known_tables(world):
            rows = world.database.rows(f"SELECT * FROM {_quoted(table)}")  # noqa: S608
            tables[table] = tuple(sorted((self._kept(table, row) for row in rows), key=repr))
        if self.claim.state is not None:
            stated = self.claim.state(world)
            tables["state"] = (tuple((name, repr(value)) for name, value in stated.items()),)
        return tuple(tables.items())

    def _kept(self, table: str, row: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
        volatile = self.claim.volatile
        return tuple(
            (name, repr(value))
            for name, value in row.items()
            if name not in volatile and f"{table}.{name}" not in volatile
        )

    def _known_tables(self, world: World) -> tuple[str, ...]:
        if self._tables is None:
            if not world.database.present and self.claim.state is None:
                raise SimulatorError("serializable() has nothing to look at: give a schema, or state=")
            names = self._names_of_tables(world)
            self._check_volatile(world, names)
            self._tables = tuple(name for name in names if f"{name}.*" not in self.claim.volatile)
        return self._tables

    def _names_of_tables(self, world: World) -> tuple[str, ...]:
        if not world.database.present:
            return ()
        return tuple(str(row["name"]) for row in world.database.rows(_TABLES[world.database.name]))

    def _check_volatile(self, world: World, tables: Sequence[str]) -> None:
        """A name that is nowhere is a mistake, and would be taken for a finding later."""
        known: set[str] = set()
        for table in tables:
            rows = world.database.rows(
                f"SELECT * FROM (SELECT 1 AS always) AS one LEFT JOIN {_quoted(table)} ON 1 = 1 LIMIT 1"  # noqa: S608
            )
            columns = [name for row in rows for name in row if name != "always"]
            known |= {*columns, *(f"{table}.{name}" for name in columns), f"{table}.*"}
        for name in self.claim.volatile:
            if name not in known:
                raise SimulatorError(
                    f"serializable(volatile=[{name!r}]): there is no such column; tables: {', '.join(tables) or 'none'}"
                )


def judged(claims: Claims) -> tuple[Claims, list[Judge]]:
    """The claims of one exploration, with a judge in the place of each that was declared."""
    judges: list[Judge] = []

    def judge(claim: Any) -> Any:
        if not isinstance(claim, Serializable):
            return claim
        judges.append(Judge(claim))
        return judges[-1]

    if any(isinstance(claim, Serializable) for claim in (*claims.always, *claims.sometimes)):
        raise SimulatorError("serializable() is about final states: it belongs in eventually=[...]")
    return replace(claims, eventually=tuple(judge(claim) for claim in claims.eventually)), judges


def learn_serial_orders(execute: Execute, judges: Sequence[Judge]) -> Outcome | None:
    """Executes the serial orders; returns the first that violates another claim, which is a finding by itself.

    Raises:
        SimulatorError: there are too many.
    """
    if not judges:
        return None
    most = min(judge.claim.orders_max for judge in judges)
    search = BoundedSearch()
    searched = search.run(execute, Limits(most, deviations_max=0))
    if searched.failure is not None:
        return searched.failure
    if search.completed < 0:
        raise SimulatorError(
            f"serializable(): there are more than {most:,} serial orders, and a final state that none of those gives "
            "might be one of the others: give orders_max=, fewer actors or less data"
        )
    for judge in judges:
        judge.learning, judge.orders = False, searched.executions
    return None


def _quoted(table: str) -> str:
    return '"' + table.replace('"', '""') + '"'
