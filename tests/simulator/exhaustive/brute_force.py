"""Small worlds of SQL programs, every interleaving of them, and what the exhaustive search makes of the same worlds.

The brute force tries every list of choices and shares nothing with the search but the simulator below it. Only to count
classes it asks for the causal order of each execution.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import trio

from simulator import Bounds, Claims, Operator, World
from simulator.database import Database, NoDatabase
from simulator.database.sqlite import SqliteDatabase
from simulator.execution import Outcome, Simulation
from simulator.faults import Fault
from simulator.reduction.context import Context
from simulator.reduction.dependence import Dependence
from simulator.reduction.events import Causality, Event
from simulator.reduction.following import Node, events_of
from simulator.reduction.search import Reduction
from simulator.schedulers.base import Lane, Limits, Options, Scheduler
from simulator.schedulers.exhaustive import ExhaustiveSearch
from tests.simulator.exhaustive.sections import attempted, whole_events

TABLE = "CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER NOT NULL)"
Program = Sequence[str]
State = tuple[Any, ...]


@dataclass
class Small:
    """A world that is executed again and again.

    Attributes:
        scenario: declares everything and comes to rest.
        look: the state that an execution ends in, its actors' results included.
        database: the engine.
        early: how many timers may fire early.
        moments: how late a fault may strike for the brute force; then classes are not counted.
    """

    scenario: Callable[[World], Any]
    look: Callable[[World], State]
    database: Database = field(default_factory=NoDatabase)
    early: int = 0
    moments: int = 0
    ended: State = ()

    def simulation(self) -> Simulation:
        """Its executions; the state of the last one is in ``ended``."""

        async def scenario(world: World) -> None:
            await self.scenario(world)
            self.ended = self.look(world)

        return Simulation(
            scenario,
            Claims(),
            self.database,
            Bounds(early_timers_max=self.early),
            effects=True,
            every_checkpoint=True,
        )


@dataclass
class Explored:
    """What came of a world.

    Attributes:
        executions: how many it took.
        states: how often each state was the end.
        classes: how often each class was executed.
        atomic_sections: whether a critical section is one event in those.
    """

    executions: int = 0
    states: Counter[State] = field(default_factory=Counter)
    classes: Counter[Any] = field(default_factory=Counter)
    strayed: int = 0
    atomic_sections: bool = False


def of_programs(
    *programs: Program,
    rows: Sequence[tuple[int, int]] = ((1, 0), (2, 0)),
    early: int = 0,
    processes: bool = True,
    faults: Sequence[Fault] = (),
) -> Small:
    """Actors that send statements, one each, to table ``t`` (id, v); ``SLEEP 5`` is no statement and sleeps.

    An actor that is told that the database is locked rolls back and ends, as code that does not retry.

    Args:
        programs: statements of each actor.
        rows: of the table, to begin with.
        early: how many timers may fire early.
        processes: whether each actor has a process of its own (``p0``, ``p1`` ...); else they share ``main``.
        faults: to be injected.
    """
    results: dict[str, list[Any]] = {}

    async def act(world: World, name: str, program: Program) -> None:
        database: Any = world.database
        connection = await database.connection(isolation_level=None)
        got: list[Any] = []
        for sql in program:
            if sql.startswith("SLEEP"):
                await trio.sleep(float(sql.split()[1]))
                continue
            try:
                cursor = await connection.execute(sql)
                got.append(tuple(map(tuple, await cursor.fetchall())))
            except sqlite3.Error as error:
                got.append(str(error))
                if "locked" in str(error):
                    if connection.in_transaction:
                        await connection.rollback()
                    break
        await connection.close()
        results[name] = got  # what a process knew that died is nobody's result

    async def scenario(world: World) -> None:
        results.clear()
        for identity, value in rows:
            world.database.insert("t", id=identity, v=value)
        for number, program in enumerate(programs):
            operator = Operator(act, world, f"a{number}", program, name=f"a{number}")
            if processes:
                world.process(f"p{number}").run(operator)
            else:
                world.run(operator)
        world.inject(*faults)
        await world.quiesce()

    def look(world: World) -> State:
        found = tuple((row["id"], row["v"]) for row in world.database.rows("SELECT * FROM t ORDER BY id"))
        return (found, tuple(sorted((name, tuple(got)) for name, got in results.items())))

    return Small(scenario, look, SqliteDatabase(TABLE), early)


def searched(small: Small) -> Explored:
    """What optimal reduction finds, with whole critical sections where nobody can tell."""
    return _searched(small, atomic_sections=True) if may_be_whole(small) else _searched(small)


def may_be_whole(small: Small) -> bool:
    """Whether the search begins with whole critical sections."""
    return small.database.one_writer and not small.early


def _searched(small: Small, *, atomic_sections: bool = False) -> Explored:
    found = Explored(atomic_sections=atomic_sections)
    context = Context(atomic_sections=atomic_sections)
    with small.simulation() as simulation:
        reduction = Reduction(simulation.execute, simulation, context, Dependence(), {})
        while not reduction.over:
            if reduction.next() is not None:
                assert reduction.last is not None
                found.states[small.ended] += 1
                found.classes[reduction.last.normal_form()] += 1
            if atomic_sections and reduction.attempted:
                break
        found.executions = reduction.executions + reduction.redundant
        found.strayed = reduction.strayed
    return _searched(small) if atomic_sections and reduction.attempted else found


def searched_with_faults(small: Small) -> Explored:
    """What the whole search finds, with the faults that are injected at each of their moments."""
    found = Explored()
    with small.simulation() as simulation:
        simulation.moments_otherwise = 1_000

        def execute(scheduler: Scheduler) -> Outcome:
            outcome = simulation.execute(scheduler)
            found.states[small.ended] += 1
            return outcome

        search = ExhaustiveSearch(simulation)
        found.executions = search.run(execute, Limits(100_000)).executions
    return found


def all_of(small: Small, *, waiting_is_a_step: bool, at_most: int = 100_000) -> Explored | None:
    """Every interleaving; None when there are more than so many.

    Args:
        small: the world.
        waiting_is_a_step: whether a lane moves that would only find that it must wait. The end is the same.
        at_most: executions.
    """
    found = Explored(atomic_sections=may_be_whole(small) and not waiting_is_a_step)
    whole: Counter[Any] = Counter()
    dependence = Dependence()
    moments = small.moments
    left: list[list[int]] = [[]]
    with small.simulation() as simulation:
        simulation.moments_otherwise = moments
        while left:
            given = left.pop()
            lists = Lists(given, None if waiting_is_a_step else simulation.database.would_wait)
            simulation.execute(lists)
            found.executions += 1
            if found.executions > at_most:
                return None
            found.states[small.ended] += 1
            if not moments:
                found.classes[
                    class_of(simulation, lists, dependence, locks_disable=not waiting_is_a_step)
                ] += 1
            if found.atomic_sections and not moments:
                whole[class_with_whole_sections(simulation, lists, dependence)] += 1
                found.atomic_sections = not attempted(simulation.conductor.trace)
            for at in range(len(given), len(lists.widths)):
                left += [given + [0] * (at - len(given)) + [index] for index in range(1, lists.widths[at])]
    if found.atomic_sections:
        found.classes = whole
    return found


class Lists:
    """Makes the choices of a list, then the first of each; notes how many there were."""

    def __init__(self, given: list[int], waits: Callable[[str], bool] | None) -> None:
        self._given = given
        self._waits = waits
        self.widths: list[int] = []
        self.ready: dict[int, tuple[str, ...]] = {}
        self.lanes: list[Lane] = []

    def start(self, lanes: Sequence[Lane]) -> None:
        """The list is the plan."""

    def choose(self, options: Options) -> int:
        indices = list(range(options.count))
        if options.kind == "schedule":
            self.ready[options.step] = tuple(lane.label for lane in options.lanes)
            self.lanes += options.lanes
        if options.kind == "schedule" and self._waits is not None:
            indices = [at for at in indices if not self._waits(options.lanes[at].label)] or indices
        at = len(self.widths)
        self.widths.append(len(indices))
        return indices[self._given[at] if at < len(self._given) else 0]


def class_of(simulation: Simulation, lists: Lists, dependence: Dependence, *, locks_disable: bool) -> Any:
    """What tells the class of the execution that was just made from all others."""
    events = _events(simulation, lists, Context(), dependence)
    return Causality(events, dependence, locks_disable=locks_disable).normal_form()


def class_with_whole_sections(simulation: Simulation, lists: Lists, dependence: Dependence) -> Any:
    """The same, where it does not matter what happens within a critical section."""
    context = Context(atomic_sections=True)
    events = _events(simulation, lists, context, dependence)
    events = whole_events(events, simulation.conductor.trace, context, dependence)
    return Causality(events, dependence, locks_disable=True).normal_form()


def _events(simulation: Simulation, lists: Lists, context: Context, dependence: Dependence) -> list[Event]:
    trace = simulation.conductor.trace
    context.meet(lists.lanes)
    nodes = [
        Node(lists.ready.get(step, (lane,)), (), lane, 0, None, {}, step=step)
        for step, (lane, _, _) in enumerate(trace.steps)
    ]
    for node in nodes:
        node.number = dependence.number(context.effects(trace, node, node.step + 1))
    return events_of(nodes, trace, context)
