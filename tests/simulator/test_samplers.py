"""Do the samplers choose as their papers say, the same for the same seed, and do they tell what they can promise?"""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from simulator import Claims, Crash, Limits, Operator, World, explore
from simulator.database import NoDatabase
from simulator.execution import Simulation
from simulator.schedulers import NAMES, is_sampler, search_named
from simulator.schedulers.base import Lane, Options
from simulator.schedulers.contention import Contention
from simulator.schedulers.pct import Pct, PctSampler
from simulator.schedulers.portfolio import PortfolioSearch
from simulator.schedulers.pos import Pos
from simulator.schedulers.surw import Surw, SurwSampler

SAMPLERS = ("pct", "surw", "pos", "portfolio")


def lane(label: str, seq: int, point: str = "look", *, kind: str = "memory") -> Lane:
    made = Lane(label, "main", seq)
    made.point, made.kind = point, kind
    return made


def options(*lanes: Lane) -> Options:
    return Options("schedule", len(lanes), lanes=list(lanes))


async def two_increments(world: World) -> None:
    """A lost update among harmless points."""
    value = 0

    async def increment(harmless: int) -> None:
        nonlocal value
        for _ in range(harmless):
            await world.point("harmless", touches="own")
        seen = value
        await world.point("write")
        value = seen + 1

    world.process("main").run(Operator(increment, 3, name="one"), Operator(increment, 0, name="other"))
    world.inject(Crash("main"))
    await world.quiesce()


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_same_seed_gives_the_same_executions(name: str) -> None:
    """Whatever a search learns on its way, it learns the same again; another seed gives others."""

    def digests(seed: int) -> list[str]:
        seen: list[str] = []
        with Simulation(two_increments, Claims(), NoDatabase()) as simulation:

            def execute(scheduler: Any) -> Any:
                outcome = simulation.execute(scheduler)
                seen.append(outcome.trace.digest())
                return outcome

            search_named(name, length=6).run(execute, Limits(40, seed=seed))
        return seen

    assert digests(1) == digests(1)
    assert digests(1) != digests(2)
    assert len(set(digests(1))) > 10


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_is_known_by_name_and_claims_a_sample(name: str) -> None:
    """It never says more than that; a failing execution ends it."""
    assert name in NAMES
    assert is_sampler(name)
    held = explore(two_increments, claims=Claims(), database=NoDatabase(), scheduler=name, limits=Limits(9))
    assert (held.claim, held.exhaustive) == ("9 executions, sampled", False)

    def fails(_world: World) -> str:
        return "it does"

    with Simulation(two_increments, Claims(eventually=(fails,)), NoDatabase()) as simulation:
        searched = search_named(name, length=4).run(simulation.execute, Limits(50))
    assert searched.executions == 1
    assert searched.failure is not None


def test_pct_lets_the_highest_priority_move_and_lowers_it_at_a_change_point() -> None:
    """Without change points one lane goes on for ever; at a change point another takes over for good."""
    lanes = [lane("a", 1), lane("b", 2), lane("c", 3)]
    plain = Pct("1", depth=1, length=10)
    plain.start(lanes)
    assert len({plain.choose(options(*lanes)) for _ in range(10)}) == 1

    changed = Pct("1", depth=2, length=10)
    changed.start(lanes)
    moved = [changed.choose(options(*lanes)) for _ in range(10)]
    assert len(set(moved)) == 2
    assert moved == sorted(moved, key=moved.index), "who lost its priority came back"


def test_pct_is_fair_after_a_while() -> None:
    """Who polls for what another lane does would otherwise starve it until the step limit."""
    lanes = [lane("a", 1), lane("b", 2)]
    pct = Pct("1", depth=1, length=5)
    moved = [pct.choose(options(*lanes)) for _ in range(100)]

    assert len(set(moved[:20])) == 1
    assert set(moved[30:]) == {0, 1}


def test_pct_prints_its_floor() -> None:
    """1 / (n * k ** (d - 1)), with the lanes and the choices that were seen."""
    sampler = PctSampler(length=4)
    for number in range(6):
        scheduler = sampler.scheduler(f"0/{number}", number)
        for _ in range(10):
            scheduler.choose(options(lane("a", 1), lane("b", 2)))
        sampler.learn(SimpleNamespace(asked=10))  # type: ignore[arg-type]

    assert [sampler.floor(depth) for depth in (1, 2, 3)] == [1 / 2, 1 / 20, 1 / 200]
    assert sampler.promise() == (
        "a race is met with at least, by depth, 1: 1 in 2 (2 executions), 2: 1 in 20 (2 executions), "
        "3: 1 in 200 (2 executions)"
    )


def test_surw_is_uniform_over_the_orders_of_what_matters() -> None:
    """Two lanes with one access each, one of them behind nine harmless points: half of the time each comes first."""
    contention = Contention()
    harmless = [lane("a", 1, f"harmless {number}", kind="reply") for number in range(9)]
    accesses = lane("a", 1, "write", kind="call"), lane("b", 2, "write", kind="call")
    contention.learn([*harmless, *accesses])
    first: Counter[str] = Counter()
    for number in range(1_000):
        surw = Surw(str(number), contention, frozenset(contention.contested()), {"a": 1, "b": 1})
        first[_first_access(surw, [*harmless, accesses[0]], accesses[1])] += 1

    assert 440 < first["a"] < 560, first


def test_a_plain_walk_is_not() -> None:
    """The same with nothing drawn: the access behind nine points hardly ever comes first."""
    contention = Contention()
    harmless = [lane("a", 1, f"harmless {number}", kind="reply") for number in range(9)]
    accesses = lane("a", 1, "write", kind="call"), lane("b", 2, "write", kind="call")
    first: Counter[str] = Counter()
    for number in range(1_000):
        first[
            _first_access(
                Surw(str(number), contention, frozenset(), {}), [*harmless, accesses[0]], accesses[1]
            )
        ] += 1

    assert first["a"] < 20, first


def _first_access(surw: Surw, of_a: list[Lane], of_b: Lane) -> str:
    """Who makes its access first, when the other has all its points before it."""
    at = 0
    while True:
        chosen = surw.choose(options(of_a[at], of_b))
        if chosen == 1:
            return "b"
        if of_a[at].kind == "call":
            return "a"
        at += 1


def test_surw_counts_what_lanes_did_before() -> None:
    """Weights are the most accesses that any execution had."""
    sampler = SurwSampler()
    with Simulation(two_increments, Claims(), NoDatabase()) as simulation:
        for number in range(5):
            sampler.learn(simulation.execute(sampler.scheduler(f"0/{number}", number)))
    scheduler = sampler.scheduler("0/5", 5)

    assert scheduler._resources == {"memory"}
    assert scheduler._left == {"one": 4, "other": 1}


def test_pos_draws_again_for_what_races_and_for_nothing_else() -> None:
    """After a call to a bank, the other call to the bank has another priority; a call to somebody else keeps its own."""
    lanes = [lane(name, seq, name, kind="call") for seq, name in enumerate(["x", "y", "z"], 1)]
    lanes[0].point = lanes[1].point = "bank"
    first: set[int] = set()
    for seed in range(20):
        pos = Pos(str(seed), Contention())
        chosen = pos.choose(options(*lanes))
        first.add(chosen)
        assert set(pos._priorities) == ({1, 2} if chosen == 2 else {3})

    assert first == {0, 1, 2}


def test_a_portfolio_gives_more_to_whoever_shows_more() -> None:
    """Who brings ten times as much gets most of the executions; nobody gets none."""
    portfolio = PortfolioSearch(length=10)
    generous = "pos"

    class Brings:
        """Coverage, as if one sampler alone brought anything."""

        contention = portfolio.coverage.contention
        last = ""

        def learning(self, execute: Any) -> Any:
            def named(scheduler: Any) -> Any:
                self.last = type(scheduler).__name__.lower()
                return execute(scheduler)

            return named

        def add(self, _outcome: Any) -> int:
            return 10 if self.last == generous else 1

    portfolio.coverage = Brings()  # type: ignore[assignment]
    with Simulation(two_increments, Claims(), NoDatabase()) as simulation:
        searched = portfolio.run(simulation.execute, Limits(200))

    shares = portfolio.executions_of
    assert sum(shares.values()) == 200
    assert shares[generous] > 90
    assert min(shares.values()) >= 12
    assert searched.details[0] == "executions by " + ", ".join(f"{name} {shares[name]}" for name in shares)
