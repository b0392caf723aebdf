"""On PostgreSQL, too, every order of workers is seen, whatever keeps them apart; and what that lets a search claim."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import Claims, World, explore
from simulator.database.server_binaries import HOW_TO_GET_ONE
from simulator.schedulers.base import Limits
from tests.simulator.exhaustive.brute_force import Program, searched
from tests.simulator.exhaustive.postgresql_programs import (
    ADD,
    LOST_UPDATE,
    after_a_claim,
    in_a_locked_section,
    in_one_statement,
    of_programs,
)
from tests.simulator.exhaustive.test_order_coverage import orders

pytest.importorskip("psycopg", reason=HOW_TO_GET_ONE)
pytest.importorskip("sqlglot", reason=HOW_TO_GET_ONE)


def under_an_advisory_lock(number: int) -> Program:
    """A lock that is no row's."""
    return ["BEGIN", "SELECT pg_advisory_xact_lock(7)", *in_one_statement(number), "COMMIT"]


@pytest.mark.parametrize("workers", [2, 3, 4])
@pytest.mark.parametrize(
    "worker", [in_a_locked_section, in_one_statement, after_a_claim, under_an_advisory_lock]
)
def test_every_order_of_workers_is_seen(postgresql_url: str, worker: Any, workers: int) -> None:
    found = searched(of_programs(postgresql_url, *(worker(number) for number in range(1, workers + 1))))
    assert {dict(tables[0])[1] for tables, _ in found.states} == orders(workers)
    assert found.executions == len(found.classes)
    assert found.strayed == 0


def explored(url: str, *programs: Program, claims: Claims) -> Any:
    """The verdict on some programs."""
    small = of_programs(url, *programs)
    return explore(
        small.scenario,
        claims=claims,
        database=small.database,
        scheduler="exhaustive",
        limits=Limits(10_000),
        bounds=small.simulation().bounds,
    )


def both_count(world: World) -> str | None:
    """Of two who add one, each is seen."""
    value = world.database.rows("SELECT v FROM t WHERE id = 1")[0]["v"]
    return None if value == 2 else f"is {value}"


def test_what_is_right_holds_in_all_interleavings(postgresql_url: str) -> None:
    held = explored(postgresql_url, *[["BEGIN", ADD, "COMMIT"]] * 2, claims=Claims(eventually=[both_count]))
    assert (held.verdict, held.exhaustive, held.executions) == ("holds", True, 4)
    assert any("postgresql" in line for line in held.details)
    lost = explored(postgresql_url, LOST_UPDATE, LOST_UPDATE, claims=Claims(eventually=[both_count]))
    assert lost.verdict == "violated"


def test_claims_that_are_asked_after_commits_see_them_in_every_order(postgresql_url: str) -> None:
    """Two rows, each written by another actor: nothing but the claim tells the orders of their commits apart."""

    def not_the_second_alone(world: World) -> str | None:
        first, second = (row["v"] for row in world.database.rows("SELECT v FROM t ORDER BY id"))
        return "the second alone" if second and not first else None

    programs = [["UPDATE t SET v = 1 WHERE id = 1"], ["UPDATE t SET v = 1 WHERE id = 2"]]
    found = explored(postgresql_url, *programs, claims=Claims(always=[not_the_second_alone]))
    assert found.verdict == "violated"
    assert explored(postgresql_url, *programs, claims=Claims()).executions == 1


def test_actors_that_never_meet_show_nothing(postgresql_url: str) -> None:
    result = explored(postgresql_url, ["SELECT 1"], ["SELECT 2"], claims=Claims())
    assert result.verdict == "inconclusive"
    assert "ever touched the same thing" in result.inconclusive
