"""Replaying a saved schedule: to the letter, after harmless edits, and loudly where it drifts."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.actors import Operator
from simulator.database import NoDatabase
from simulator.errors import SimulatorError
from simulator.execution import Claims, Outcome, Simulation
from simulator.exploration import explore, replay
from simulator.faults import Crash
from simulator.schedule import Schedule
from simulator.schedulers.base import Limits
from simulator.schedulers.replay import Wish
from simulator.schedulers.seeded import Seeded
from simulator.world import World

FIRST, SECOND = ["reads", "writes", "leaves"], ["looks", "acts"]


def shop(
    first: list[str] = FIRST, second: list[str] = SECOND, *, crashes: bool = False, sizes: int = 1
) -> Any:
    """A scenario of two lanes; their steps stand for code that somebody edits."""

    async def lane(world: World, steps: list[str]) -> None:
        for step in steps:
            await world.point(step)

    async def scenario(world: World) -> None:
        if sizes:
            world.choose("size", range(sizes))
        world.process("one").run(Operator(lane, world, first, name="first"))
        world.process("two").run(Operator(lane, world, second, name="second"))
        if crashes:
            world.inject(Crash("one", down_s=None))
        await world.quiesce()

    return scenario


def recorded(*runs: tuple[str, int], scenario: Any = None, **choices: int) -> Schedule:
    with Simulation(scenario or shop(), Claims(), NoDatabase()) as simulation:
        return simulation.execute(Wish(choices, runs)).trace.schedule()


def replayed(schedule: Schedule, scenario: Any) -> tuple[str, str]:
    """What happened, in short (lane's letter and step), and where it drifted."""
    result, drift = replay(scenario, schedule, claims=Claims(), database=NoDatabase())
    assert isinstance(result.outcome, Outcome)
    return story(result.outcome), drift


def story(outcome: Outcome) -> str:
    return " ".join(f"{lane[0]}:{point}" for lane, point, _ in outcome.trace.steps if point != "starts")


# Both have read and looked before either of them writes or acts.
SAVED = recorded(("first", 2), ("second", 2), ("first", 1), ("second", 1))
AS_SAVED = "f:reads s:looks f:writes s:acts f:leaves"


def test_the_same_code_does_the_same_and_nothing_drifts() -> None:
    """Step by step."""
    assert replayed(SAVED, shop()) == (AS_SAVED, "")


def test_every_random_schedule_is_replayed_to_the_letter() -> None:
    """With faults and data, twenty of them: steps and times are the same."""
    scenario = shop(crashes=True, sizes=4)
    with Simulation(scenario, Claims(), NoDatabase()) as simulation:
        simulation.moments_otherwise = 5
        outcomes = [simulation.execute(Seeded(seed)) for seed in range(20)]
    assert any(outcome.faults for outcome in outcomes)
    for outcome in outcomes:
        result, drift = replay(scenario, outcome.trace.schedule(), claims=Claims(), database=NoDatabase())
        assert drift == ""
        assert result.outcome is not None
        assert result.outcome.trace.steps == outcome.trace.steps


@pytest.mark.parametrize(
    ("first", "second", "happened", "drift"),
    [
        (["logs", "reads", "writes", "leaves"], SECOND, "f:logs f:reads s:looks f:writes s:acts f:leaves", "f:logs"),
        (["reads", "checks", "writes", "leaves"], SECOND, "f:reads s:looks f:checks f:writes s:acts f:leaves", "f:checks"),
        (FIRST, ["looks", "waits", "acts"], "f:reads s:looks f:writes s:waits s:acts f:leaves", "s:waits"),
        (["reads", "leaves"], SECOND, "f:reads s:looks s:acts f:leaves", "f:leaves"),
        (["writes", "leaves"], SECOND, "s:looks f:writes s:acts f:leaves", "f:writes"),
        (FIRST, ["acts"], "f:reads f:writes s:acts f:leaves", "s:acts"),
    ],
    ids=["new at first", "new in the middle", "new in the other", "gone", "gone at first", "gone in the other"],
)  # fmt: skip
def test_after_a_harmless_edit_the_rest_happens_as_it_was_saved(
    first: list[str], second: list[str], happened: str, drift: str
) -> None:
    """A step that is new or gone leaves the order of the others; the replay says where it was."""
    told, drifted = replayed(SAVED, shop(first, second))
    assert told == happened
    lane, _, point = drift.partition(":")
    assert f"'{'first' if lane == 'f' else 'second'}: {point}'" in drifted
    assert drifted.startswith("step ")


def test_a_lane_that_is_gone_is_passed_over() -> None:
    """The others go on in their order, and the first difference is told, not the last."""
    told, drifted = replayed(SAVED, shop(second=[]))
    assert told == "f:reads f:writes f:leaves"
    assert "'second: looks'" in drifted


def test_more_than_was_saved_goes_on_dully_and_is_told() -> None:
    """Option 0 from where the schedule ends."""
    told, drifted = replayed(SAVED, shop([*FIRST, "returns"], [*SECOND, "talks"]))
    assert told == "f:reads s:looks f:writes s:acts f:leaves f:returns s:talks"
    assert "the schedule says that nobody moves any more" in drifted


def test_data_that_are_not_asked_for_any_more_or_out_of_range_are_told() -> None:
    """By name, with what there is."""
    schedule = recorded(scenario=shop(sizes=9), size=7)
    assert (
        replayed(schedule, shop(sizes=3))[1]
        == "the schedule chooses 'size' = 7; the scenario has only 3 options"
    )
    assert "'size', which the scenario does not ask for" in replayed(schedule, shop(sizes=0))[1]
    assert (
        "'size', which the schedule does not choose"
        in replayed(recorded(scenario=shop(sizes=0)), shop(sizes=3))[1]
    )


def test_a_fault_strikes_where_it_did() -> None:
    """A moment is beyond what a probe would have allowed, and is followed all the same."""
    scenario = shop(crashes=True)
    with Simulation(scenario, Claims(), NoDatabase()) as simulation:
        simulation.moments_otherwise = 9
        outcome = simulation.execute(Wish({"crash one": 4}, [("first", 3), ("second", 9), ("first", 9)]))
    assert [lane for lane, _, _ in outcome.trace.steps][-1] == "fault"
    assert replayed(outcome.trace.schedule(), scenario) == (story(outcome), "")
    told, drifted = replayed(outcome.trace.schedule(), shop())
    assert told == "f:reads f:writes s:looks s:acts f:leaves"
    assert "SIGKILL one before first: leaves" in drifted


def test_a_schedule_of_another_engine_is_refused() -> None:
    """Its steps would mean something else there."""
    schedule = Schedule((), (), database="postgresql")
    with pytest.raises(
        SimulatorError, match="recorded on postgresql and this run is on none: give --database=postgresql"
    ):
        replay(shop(), schedule, claims=Claims(), database=NoDatabase())


def test_what_was_found_is_replayed_in_detail() -> None:
    """The schedule of an exploration's failure shows the same failure."""

    async def fails_when_overtaken(world: World) -> None:
        seen: list[str] = []

        async def lane(name: str) -> None:
            await world.point("moves")
            seen.append(name)
            await world.point("leaves")
            seen.append(name)

        world.run(Operator(lane, "a", name="a"), Operator(lane, "b", name="b"))
        await world.quiesce()
        assert "".join(seen) != "abab"

    found = explore(fails_when_overtaken, claims=Claims(), database=NoDatabase(), limits=Limits(200))
    assert found.schedule is not None
    assert found.outcome is not None
    again, drift = replay(fails_when_overtaken, found.schedule, claims=Claims(), database=NoDatabase())
    assert (again.failure, drift) == (found.failure, "")
    assert again.outcome is not None
    assert again.outcome.trace.digest() == found.outcome.trace.digest()
