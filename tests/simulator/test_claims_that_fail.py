"""Is a claim, or a scenario, that gives no answer told apart from a finding?"""

from __future__ import annotations

from typing import Any

import pytest

from simulator import Claims, Operator, SimulatorError, World
from simulator.errors import InvariantRaised


async def nothing() -> None:
    """Ends at once."""


def alone(program: Any, *, at_point: bool = False) -> Any:
    async def scenario(world: World) -> None:
        world.run(Operator(program, *([world] if at_point else [])))
        await world.quiesce()

    return scenario


async def async_claim(_world: World) -> str | None:
    return None


def raising_claim(_world: World) -> str | None:
    raise LookupError("no such thing")


def boolean_claim(_world: World) -> Any:
    return True


@pytest.mark.parametrize("when", ["always", "sometimes", "eventually"])
@pytest.mark.parametrize(
    ("claim", "said"),
    [
        (raising_claim, "the invariant raising_claim raised LookupError: no such thing"),
        (boolean_claim, "boolean_claim returned True: expected a reason"),
        (async_claim, "async_claim is an async function"),
    ],
)
def test_a_claim_that_gives_no_answer_is_an_error_in_words(
    claim: Any, said: str, when: str, execute: Any
) -> None:
    """An invariant that raises, returns a bool or cannot be asked says nothing about the code under test."""

    async def program(world: World) -> None:
        await world.point("look")

    claims = Claims(**{when: (claim,)})
    if when == "eventually" and claim is async_claim:
        assert execute(alone(program, at_point=True), claims=claims).failure is None
        return
    with pytest.raises(SimulatorError, match=said) as told:
        execute(alone(program, at_point=True), claims=claims)
    assert isinstance(told.value, InvariantRaised) or claim is async_claim


def test_a_scenario_that_never_calls_quiesce_shows_nothing_and_is_told_so(execute: Any) -> None:
    """Nobody moved."""

    async def scenario(world: World) -> None:
        world.run(Operator(nothing))

    with pytest.raises(SimulatorError, match=r"never called world\.quiesce"):
        execute(scenario)


def test_an_error_of_the_scenarios_body_comes_out_as_it_is(execute: Any) -> None:
    """Neither a group nor a finding; an assertion is a finding."""

    async def broken(world: World) -> None:
        raise LookupError("in the set-up")

    async def wrong(world: World) -> None:
        world.run(Operator(nothing))
        await world.quiesce()
        assert world.clock.now_s == 1, "time stood still"

    with pytest.raises(LookupError, match="in the set-up"):
        execute(broken)
    assert execute(wrong).failure.name == "the_scenarios_own_assertion"
