"""Other processes run executions ahead: what is found, and in which order, is what one process finds."""

from __future__ import annotations

import os
import random
import signal
from dataclasses import replace
from typing import Any

import pytest

from simulator import Crash, Operator, World
from simulator.errors import SimulatorError
from simulator.execution import Bounds, Claims, Simulation
from simulator.exploration import Exploration, explore
from simulator.reduction.ahead import Ahead
from simulator.reduction.passed import Position
from simulator.reduction.search import Reduction, context_of
from simulator.runtime.helpers import Helpers
from simulator.schedulers.base import Limits
from simulator.schedulers.exhaustive import ExhaustiveSearch
from tests.simulator.exhaustive.brute_force import Small, of_programs

READ = "SELECT v FROM t WHERE id = 1"
ADD = "UPDATE t SET v = v * 10 + {} WHERE id = 1"
WITHOUT_EARLY_TIMERS = Bounds(early_timers_max=0)
THREE = [[READ, ADD.format(1), READ], [READ, ADD.format(2)], [ADD.format(3)]]


def explored(small: Small, processes: int, *, limits: Limits = Limits(10_000), **options: Any) -> Exploration:  # noqa: B008
    return explore(
        small.scenario,
        claims=options.pop("claims", Claims()),
        database=small.database,
        scheduler="exhaustive",
        limits=limits,
        bounds=WITHOUT_EARLY_TIMERS,
        processes=processes,
        **options,
    )


def comparable(found: Exploration) -> Exploration:
    """Without what no two runs have in common."""
    return replace(found, seconds=0.0, outcome=None)


@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize(
    "small",
    [
        of_programs(*THREE),
        of_programs(*THREE[1:], faults=[Crash("p0", 0.45), Crash("p1", None)]),
        of_programs(*THREE, processes=False),
    ],
    ids=["one plan", "many plans", "one process"],
)
def test_the_number_of_processes_changes_nothing(small: Small, processes: int) -> None:
    alone = explored(small, 1)
    assert alone.verdict == "holds"
    assert comparable(explored(small, processes)) == comparable(alone)


def never_two_after_a_death(world: World) -> str | None:
    """Holds without a crash."""
    found = world.database.rows("SELECT v FROM t WHERE id = 1")[0]["v"]
    return f"v is {found}" if found == 2 and world.restarts("p0") else None


def test_the_same_violation_is_found() -> None:
    """In a plan that other processes had explored: here it is explored again, to have its story."""
    small = of_programs([READ, ADD.format(1)], [ADD.format(2)], faults=[Crash("p0", None)])
    alone, together = (
        explored(small, processes, claims=Claims(eventually=(never_two_after_a_death,)))
        for processes in (1, 2)
    )
    assert alone.verdict == "violated"
    assert comparable(together) == comparable(alone)
    assert together.outcome is not None
    assert together.outcome.faults == 1


def test_plans_are_explored_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the first, whatever the machine's speed: the search waits for them."""
    small = of_programs(*THREE[1:], faults=[Crash("p0", None)])
    before = explored(small, 1, limits=Limits(10_000, faults_max=0)).executions
    here = []
    execute = Simulation.execute

    def counted(self: Simulation, *args: Any, **options: Any) -> Any:
        here.append(1)
        return execute(self, *args, **options)

    monkeypatch.setattr(Simulation, "execute", counted)
    found = explored(small, 2)
    assert len(here) <= before + 1  # the probe
    assert found.executions > before


def test_an_execution_elsewhere_is_the_one_here() -> None:
    """Step by step, with its effects."""
    small, nowhere = of_programs(*THREE), Position((("nothing", 1),), frozenset(), atomic_sections=False)
    simulation = simulation_of(small)
    with Ahead(simulation, 2) as ahead, simulation:
        context = context_of(simulation, frozenset(), atomic_sections=True)
        reduction = Reduction(simulation.execute, simulation, context, ahead.dependence, {})
        compared = 0
        while not reduction.over:
            where = reduction.where()
            assert ahead.take(nowhere, [where]) is None
            elsewhere = ahead.take(where, [])
            assert elsewhere is not None
            stack, then = where.stack()
            again = Reduction(simulation.execute, simulation, context, ahead.dependence, {})
            again.go_to(stack, then)
            here = again.pass_through()
            assert here.as_data() == elsewhere.as_data()
            reduction.next()
            compared += 1
    assert compared > 10


def simulation_of(small: Small) -> Simulation:
    return Simulation(
        small.scenario, Claims(), small.database, WITHOUT_EARLY_TIMERS, effects=True, every_checkpoint=True
    )


def test_a_process_that_is_killed_costs_time_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it was to do is done here."""
    small = of_programs(*THREE[1:], faults=[Crash("p0", None)])
    alone = explored(small, 1)
    enter = Ahead.__enter__

    def enter_and_lose(self: Ahead) -> Ahead:
        entered = enter(self)
        for helper in self._helpers.alive:
            assert helper.process.pid is not None
            os.kill(helper.process.pid, signal.SIGKILL)
        return entered

    monkeypatch.setattr(Ahead, "__enter__", enter_and_lose)
    assert comparable(explored(small, 2)) == comparable(alone)


class Kept:
    """A frontier in memory."""

    def __init__(self) -> None:
        self.text = ""

    def load(self) -> str:
        return self.text

    def save(self, text: str) -> None:
        self.text = text

    def hear(self, how_far: str) -> None:
        """Nothing to tell."""


def test_it_goes_on_where_it_stopped() -> None:
    """With other numbers of processes each time."""
    small = of_programs(*THREE[1:], faults=[Crash("p0", 0.45), Crash("p1", None)])
    whole = explored(small, 1)
    kept = Kept()
    for processes in (2, 1, 3):
        found = explored(small, processes, limits=Limits(whole.executions // 4), frontier=kept)
        assert found.verdict == "inconclusive"
        assert kept.text
    found = explored(small, 2, frontier=kept)
    assert found.verdict == "holds"
    assert (found.interleavings, found.details) == (whole.interleavings, whole.details)


def test_what_stops_an_execution_elsewhere_stops_the_search() -> None:
    """With the same words."""

    async def scenario(world: World) -> None:
        await small.scenario(world)
        if world.restarts("p0"):
            raise SimulatorError("after a death")

    small = of_programs([ADD.format(1)], [ADD.format(2)], faults=[Crash("p0", None)])
    told = []
    for processes in (1, 2):
        with pytest.raises(SimulatorError) as caught:
            explored(replace(small, scenario=scenario), processes)
        told.append(str(caught.value))
    assert told == ["after a death"] * 2


def test_chance_that_is_drawn_elsewhere_is_noticed() -> None:
    """One state for all actors is no proof, whoever ran the execution."""

    async def scenario(world: World) -> None:
        async def draws() -> None:
            if os.getpid() != here:
                random.random()

        world.process("gambler").run(Operator(draws))
        await small.scenario(world)

    here = os.getpid()
    small = of_programs(*THREE)
    simulation = simulation_of(replace(small, scenario=scenario))
    with Ahead(simulation, 2) as ahead, simulation:
        search = ExhaustiveSearch(simulation)
        search.use(ahead, lambda _executions, _reached: None)
        root = Position((), frozenset(), atomic_sections=True)
        assert (
            ahead.take(Position((("nothing", 1),), frozenset(), atomic_sections=False), [root]) is None
        )  # it is run elsewhere, for sure
        searched = search.run(simulation.execute, Limits(10_000))
    assert "module random" in searched.inconclusive


def test_a_helper_that_is_busy_is_sent_no_more_than_a_pipe_holds() -> None:
    """It may be waiting for us to read a long answer; what it has not heard of is told later."""

    def echo(ask: Any, answer: Any) -> None:
        while True:
            answer(ask())

    long = b"x" * 1_000_000
    with Helpers(echo, 1) as helpers:
        (helper,) = helpers.alive
        assert helpers.send(helper, "first", long)
        assert not helpers.send(helper, "second", long)
        assert helpers.send(helper, "third", b"short")
        heard: list[bytes] = []
        while helper.ordered:
            for _, said in helpers.answers(None):
                helper.ordered.popleft()
                heard.append(said)
    assert heard == [long, b"short"]


def test_what_is_printed_elsewhere_is_not_seen(capfd: pytest.CaptureFixture[str]) -> None:
    """It would come in an order of its own."""

    async def scenario(world: World) -> None:
        os.write(1, b"." if os.getpid() == here else b"!")
        await small.scenario(world)

    here = os.getpid()
    small = of_programs([ADD.format(1)], [ADD.format(2)], faults=[Crash("p0", None)])
    explored(replace(small, scenario=scenario), 2)
    assert set(capfd.readouterr().out) == {"."}
