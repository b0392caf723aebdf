"""Steps that are said to be independent are swapped; a door that forgets an effect is found out."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from scenarios.incidents.subscription_224.scenario import polling, seen_by, webhook
from scenarios.incidents.subscription_224.shops import REFERENCE, V2_4_10
from simulator import Bounds, Claims, World, explore
from simulator.database.predicates import Predicates
from simulator.database.sqlite import SqliteDatabase
from simulator.effects import Collected
from simulator.reduction.context import Context
from simulator.reduction.dependence import Dependence
from simulator.reduction.search import Reduction
from simulator.reduction.validator import Validator, WrongFootprint
from simulator.schedulers.base import Limits
from tests.simulator.exhaustive.brute_force import Program, of_programs
from tests.simulator.exhaustive.litmus import LITMUS


def validated(programs: Sequence[Program], *, early: int = 0, atomic_sections: bool = False) -> int:
    """How many pairs were swapped in all executions that the search makes."""
    context = Context(atomic_sections=atomic_sections)
    with of_programs(*programs, early=early).simulation() as simulation:
        validator = Validator(simulation, pairs=5)
        reduction = Reduction(simulation.execute, simulation, context, Dependence(), {})
        while not reduction.over:
            outcome = reduction.next()
            assert reduction.last is not None
            if outcome is not None:
                last = reduction.last
                validator.check(outcome, last.events, last.before, {}, atomic_sections=atomic_sections)
    return validator.swapped


@pytest.mark.parametrize("name", LITMUS)
def test_independent_steps_can_be_swapped(name: str) -> None:
    assert validated(LITMUS[name]) > 0


def test_with_early_timers_as_well() -> None:
    assert validated(LITMUS["locked counter"], early=1) > 0


def test_a_door_that_forgets_a_look_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Predicates, "looks", lambda *_: ([], 0))
    with pytest.raises(WrongFootprint, match="were said to be independent; the other way round"):
        validated(LITMUS["webhook before commit"])


def test_a_door_that_forgets_the_lock_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Collected, "take", lambda *_, **__: None)
    monkeypatch.setattr(Collected, "give_back", lambda *_: None)
    with pytest.raises(WrongFootprint):
        validated(LITMUS["locked counter"])


def test_whole_sections_can_be_swapped() -> None:
    looks = ["BEGIN IMMEDIATE", "SELECT v FROM t WHERE id = 1", "COMMIT"]
    changes = ["BEGIN IMMEDIATE", "UPDATE t SET v = 5 WHERE id = 2", "COMMIT"]
    assert validated([looks, changes, looks], atomic_sections=True) > 0


def test_a_look_under_the_lock_that_is_forgotten_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = ["BEGIN IMMEDIATE", "SELECT v FROM t WHERE id = 1", "COMMIT"]
    changes = ["BEGIN IMMEDIATE", "UPDATE t SET v = 5 WHERE id = 1", "COMMIT"]
    assert validated([looks, looks, changes], atomic_sections=True) > 0
    monkeypatch.setattr(Predicates, "looks", lambda *_: ([], 0))
    with pytest.raises(WrongFootprint):
        validated([looks, changes], atomic_sections=True)


@pytest.mark.parametrize("shop", [REFERENCE, V2_4_10], ids=lambda shop: shop.name)
def test_the_purchase_flow_has_right_footprints(shop: object) -> None:
    """Webhook against polling, without claims, so that the deployed shop is looked at beyond its first violation."""

    async def scenario(world: World) -> None:
        await seen_by(world, shop, api=[webhook()], bot=[polling()])  # type: ignore[arg-type]

    result = explore(
        scenario,
        claims=Claims(),
        database=SqliteDatabase(shop.schema),  # type: ignore[attr-defined]
        scheduler="exhaustive",
        limits=Limits(15, validate=True),
        bounds=Bounds(early_timers_max=0),
    )
    assert result.failure is None
    assert any("pairs of steps swapped, no difference" in line for line in result.details)
