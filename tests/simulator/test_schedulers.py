"""Plans, walks and draws: what a scheduler answers, that a seed means something, and that nothing leaks in or out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.actors import Operator
from simulator.database import NoDatabase
from simulator.errors import SimulatorError, UnknownScheduler
from simulator.execution import Claims, Simulation
from simulator.schedulers import NAMES, is_sampler, search_named
from simulator.schedulers.base import Lane, Options, Scheduler
from simulator.schedulers.drawn import permutation, spread
from simulator.schedulers.fixed import Fixed
from simulator.schedulers.planned import Plan, Planned
from simulator.schedulers.seeded import Seeded
from simulator.world import World


def lanes_of(*labels: str) -> list[Lane]:
    lanes = [Lane(label, "main", seq) for seq, label in enumerate(labels)]
    for lane in lanes:
        lane.kind = "time" if lane.label == "clock" else "memory"
    return lanes


def asked(scheduler: Scheduler, lanes: list[Lane], *able: str) -> str:
    """Who moves when some of the lanes can."""
    options = [lane for label in able for lane in lanes if lane.label == label]
    return options[scheduler.choose(Options("schedule", len(options), lanes=options))].label


def planned(lanes: list[Lane], *order: int, changes: tuple[int, ...] = (), walk: int = 0) -> Planned:
    scheduler = Planned(lambda _options: 0, lambda _count: Plan(order, frozenset(changes), walk))
    scheduler.start([lane for lane in lanes if lane.label != "clock"])
    return scheduler


def test_the_first_in_the_order_moves_whenever_it_can() -> None:
    """Who cannot move is passed over and keeps its place."""
    lanes = lanes_of("a", "b", "c")
    scheduler = planned(lanes, 2, 0, 1, 3)
    assert asked(scheduler, lanes, "a", "b", "c") == "c"
    assert asked(scheduler, lanes, "a", "b") == "a"
    assert asked(scheduler, lanes, "b", "c") == "c"


def test_at_a_change_point_whoever_would_move_goes_to_the_end() -> None:
    """And stays there: one change point is one preemption."""
    lanes = lanes_of("a", "b", "c")
    scheduler = planned(lanes, 0, 1, 2, 3, changes=(1,))
    assert [asked(scheduler, lanes, "a", "b", "c") for _ in range(4)] == ["a", "b", "b", "b"]
    assert asked(scheduler, lanes, "a", "c") == "c"


def test_time_has_a_place_in_the_order_and_can_be_changed_like_a_lane() -> None:
    """First in the order, timers fire as early as they may; after a change they wait."""
    lanes = lanes_of("a", "b", "clock")
    scheduler = planned(lanes, 2, 0, 1, changes=(1,))
    assert asked(scheduler, lanes, "a", "b", "clock") == "clock"
    assert asked(scheduler, lanes, "a", "b", "clock") == "a"
    assert asked(scheduler, lanes, "b", "clock") == "b"


def test_who_comes_later_comes_after_everyone_the_plan_knows() -> None:
    """A task that an actor starts, and a restarted actor, do not upset the order."""
    lanes = lanes_of("a", "b")
    scheduler = planned(lanes, 1, 0, 2)
    later = Lane("b.1", "main", 7)
    assert asked(scheduler, [*lanes, later], "b.1", "a") == "a"
    scheduler.start([later])
    assert asked(scheduler, [*lanes, later], "b.1", "b") == "b"


def test_a_walk_is_the_same_for_the_same_seed_and_asks_nobody_else() -> None:
    """A number stands for the whole walk."""
    lanes = lanes_of("a", "b", "c")
    walks = [
        [asked(scheduler, lanes, "a", "b", "c") for _ in range(30)]
        for scheduler in (planned(lanes, walk=5), planned(lanes, walk=5), planned(lanes, walk=6))
    ]
    assert walks[0] == walks[1] != walks[2]
    assert set(walks[0]) == {"a", "b", "c"}


def test_in_a_random_walk_no_fault_is_as_likely_as_all_moments_together() -> None:
    """Or every execution of a long scenario would have every fault."""
    options = Options("fault", 100, name="crash")
    moments = [Seeded(seed).choose(options) for seed in range(1_000)]
    assert 400 < moments.count(0) < 600
    assert len(set(moments)) > 90
    assert max(moments) <= 99


@given(
    st.integers(1, 6).flatmap(
        lambda count: st.tuples(st.just(count), st.integers(0, math.factorial(count) - 1))
    )
)
def test_a_number_is_a_permutation_and_zero_changes_nothing(numbered: tuple[int, int]) -> None:
    """So that one integer is drawn for an order and shrinks towards the order in which the actors were declared."""
    count, number = numbered
    assert sorted(permutation(number, count)) == list(range(count))
    assert permutation(0, count) == tuple(range(count))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 24, 80, 120])
def test_every_permutation_and_every_place_can_be_drawn(count: int) -> None:
    """Spreading small numbers out loses none."""
    assert sorted(spread(value, count) for value in range(count)) == list(range(count))
    assert spread(0, count) == 0
    assert len({permutation(number, 4) for number in range(24)}) == 24


def test_an_unknown_scheduler_is_told_with_those_that_there_are() -> None:
    """The names are listed: they are few."""
    with pytest.raises(UnknownScheduler, match="no scheduler 'random'; there are: drawn, seeded, pct, "):
        search_named("random", length=2)
    assert [name for name in NAMES if is_sampler(name)] == [
        "drawn",
        "seeded",
        "pct",
        "surw",
        "pos",
        "portfolio",
    ]


async def two_lanes_and_a_datum(world: World) -> None:
    world.choose("size", ["small", "large"])
    world.run(*(Operator(world.point, f"moves {name}", name=name) for name in "ab"))
    await world.quiesce()


class _Answers:
    """A scheduler that raises or answers what it was given."""

    def __init__(self, answer: object) -> None:
        self._answer = answer

    def start(self, lanes: Sequence[Lane]) -> None:
        """Plans nothing."""

    def choose(self, _options: Options) -> Any:
        """The same for every choice."""
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer


@pytest.mark.parametrize("kind", [ZeroDivisionError, KeyboardInterrupt])
def test_what_a_scheduler_raises_comes_out_as_it_is(kind: type[BaseException]) -> None:
    """Not as an internal error of trio, though it was raised in the middle of its loop; and the loop goes on."""
    with Simulation(two_lanes_and_a_datum, Claims(), NoDatabase()) as simulation:
        with pytest.raises(kind, match=r"^mine$"):
            simulation.execute(Fixed({}, _Answers(kind("mine")), faults=False))
        assert simulation.execute(Seeded(1)).failure is None


@pytest.mark.parametrize("answer", [3, -1, None, "a"])
def test_an_answer_that_is_no_option_is_told_with_the_schedulers_name(answer: object) -> None:
    """A policy is somebody's own code."""
    with (
        Simulation(two_lanes_and_a_datum, Claims(), NoDatabase()) as simulation,
        pytest.raises(SimulatorError, match=f"answered {answer!r} where 0 to 1 was possible"),
    ):
        simulation.execute(_Answers(answer))


def test_fixed_data_and_faults_are_answered_without_asking() -> None:
    """Faults only where they are wanted; whether all data were plain is known afterwards."""
    given = {"size": 9, "crash": 2}
    for faults in (True, False):
        scheduler = Fixed(given, Seeded(0), faults=faults)
        assert scheduler.choose(Options("data", 3, name="colour")) == 0
        assert scheduler.choose(Options("fault", 9, name="crash")) == (2 if faults else 0)
        assert scheduler.plain
        assert scheduler.choose(Options("data", 4, name="size")) == 3  # the nearest that there is
        assert not scheduler.plain
