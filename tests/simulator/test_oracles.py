"""Claims: when each kind is asked, what it sees, and what a claim that is none does."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from simulator.actors import Operator
from simulator.database import NoDatabase
from simulator.database.sqlite import SqliteDatabase
from simulator.errors import InvariantRaised, SimulatorError
from simulator.execution import Bounds, Claims, Outcome, Simulation
from simulator.oracles import Failure, name_of, restarted
from simulator.schedulers.replay import Wish
from simulator.world import World

SCHEMA = "CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);"


@dataclass(frozen=True)
class Rows:
    """A claim as a query for the rows that violate it."""

    name: str
    sql: str


never_negative = Rows("never_negative", "SELECT id, balance FROM accounts WHERE balance < 0")


def moving(*statements: str, commits: bool = True) -> Any:
    """A scenario of one actor that executes some statements, each in a transaction of its own."""

    async def work(world: World) -> None:
        async with world.database.connection() as connection:  # type: ignore[attr-defined]
            for statement in statements:
                await connection.execute(statement)
                if commits or statement == statements[-1]:
                    await connection.commit()

    async def scenario(world: World) -> None:
        world.database.insert("accounts", id=1, balance=0)
        world.run(Operator(work, world, name="work"))
        await world.quiesce()

    return scenario


def outcome_of(scenario: Any, claims: Claims, *, schema: str | None = SCHEMA, choices: Any = None) -> Outcome:
    database = SqliteDatabase(schema) if schema else NoDatabase()
    with Simulation(scenario, claims, database, Bounds()) as simulation:
        return simulation.execute(Wish(choices or {}, []))


DOWN, UP = "UPDATE accounts SET balance = -5", "UPDATE accounts SET balance = 5"


def test_always_is_asked_after_each_commit() -> None:
    """A state that lasts from one commit to the next is seen, though it is mended later."""
    outcome = outcome_of(moving(DOWN, UP), Claims(always=(never_negative,)))
    assert outcome.failure == Failure("never_negative", "id = 1, balance = -5")
    assert outcome.trace.violated_at is not None
    assert outcome.trace.violated_at < 7


def test_always_sees_committed_state_only() -> None:
    """What a transaction writes and mends before it commits was never there for anybody else."""
    assert outcome_of(moving(DOWN, UP, commits=False), Claims(always=(never_negative,))).failure is None


def test_eventually_is_asked_when_nothing_moves_any_more() -> None:
    """What was mended before that is fine; what is left is not."""
    assert outcome_of(moving(DOWN, UP), Claims(eventually=(never_negative,))).failure is None
    assert outcome_of(moving(UP, DOWN), Claims(eventually=(never_negative,))).failure is not None


def test_sometimes_is_reached_when_it_holds_after_a_commit_or_at_the_end() -> None:
    """Rows, or a reason, mean reached; and nothing fails for want of it in one execution."""
    claims = Claims(sometimes=(never_negative, is_rich))
    outcome = outcome_of(moving(DOWN, UP), claims)
    assert outcome.reached == {"never_negative"}
    assert outcome.failure is None
    assert outcome_of(moving(UP), claims).reached == frozenset()


def is_rich(world: World) -> str | None:
    """More than a hundred."""
    [row] = world.database.rows("SELECT balance FROM accounts")
    return "rich" if row["balance"] > 100 else None


def is_poor(world: World) -> str | None:
    """A function claims as well as a query."""
    [row] = world.database.rows("SELECT balance FROM accounts")
    return f"has {row['balance']}" if row["balance"] < 100 else None


async def is_poor_in_the_end(world: World) -> str | None:
    """An async function may await, as nobody moves any more."""
    async with (
        world.database.connection() as connection,
        connection.execute("SELECT 1 FROM accounts") as cursor,
    ):  # type: ignore[attr-defined]
        assert await cursor.fetchone()
    return is_poor(world)


@pytest.mark.parametrize("claim", [is_poor, is_poor_in_the_end, functools.partial(is_poor)])
def test_a_function_gives_the_reason(claim: Callable[..., Any]) -> None:
    """In its own words, sync or async."""
    outcome = outcome_of(moving(UP), Claims(eventually=(claim,)))
    assert outcome.failure == Failure(name_of(claim), "has 5")


def test_without_a_database_always_is_asked_after_each_step() -> None:
    """Memory has no commits."""
    balance = [0]

    async def work(world: World) -> None:
        for value in (-5, 5):
            await world.point(f"sets {value}")
            balance[0] = value

    async def scenario(world: World) -> None:
        world.run(Operator(work, world, name="work"))
        await world.quiesce()

    def balanced(_world: World) -> str | None:
        return f"{balance[0]}" if balance[0] < 0 else None

    outcome = outcome_of(scenario, Claims(always=(balanced,)), schema=None)
    assert outcome.failure == Failure("balanced", "-5")
    assert [point for _, point, _ in outcome.trace.steps] == ["starts", "sets -5"]


def raises(_world: World) -> str | None:
    """Looks for a key that is not there."""
    return {}["gone"]  # type: ignore[no-any-return]


def is_true(_world: World) -> bool:
    """Says nothing about why."""
    return True


def is_empty(_world: World) -> str:
    """No reason is no reason."""
    return ""


async def waits(_world: World) -> None:
    """Cannot be asked between two steps."""


bad_sql = Rows("bad_sql", "SELECT x FROM nowhere")


@pytest.mark.parametrize(
    ("claim", "error"),
    [
        (raises, r"the invariant raises raised KeyError: 'gone'; .* raised at .*test_oracles\.py:\d+ in raises"),
        (bad_sql, r"the invariant bad_sql raised OperationalError: no such table: nowhere.* its SQL is:\nSELECT x"),
        (is_true, r"is_true returned True: expected a reason \(a text\) when it does not hold, and None when it does"),
        (is_empty, r"is_empty returned ''"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["always", "eventually", "sometimes"])
def test_a_claim_that_gives_no_answer_ends_the_exploration(claim: Any, error: str, kind: str) -> None:
    """It says nothing about the code under test, so it is neither a violation nor a pass."""
    with pytest.raises(InvariantRaised, match=error):
        outcome_of(moving(UP), Claims(**{kind: (claim,)}))


@pytest.mark.parametrize("kind", ["always", "sometimes"])
def test_an_async_claim_cannot_be_asked_between_two_steps(kind: str) -> None:
    """The error says what it can be instead."""
    with pytest.raises(SimulatorError, match=r"waits is an async function: .* make it an `eventually`"):
        outcome_of(moving(UP), Claims(**{kind: (waits,)}))


def test_many_violating_rows_are_counted() -> None:
    """Three are shown."""

    async def scenario(world: World) -> None:
        for number in range(5):
            world.database.insert("accounts", id=number, balance=-number - 1)
        world.run(Operator(world.point, "looks", name="work"))
        await world.quiesce()

    failure = outcome_of(scenario, Claims(eventually=(never_negative,))).failure
    assert failure is not None
    assert (
        failure.reason == "id = 0, balance = -1; id = 1, balance = -2; id = 2, balance = -3 (and 2 rows more)"
    )


def test_what_is_no_claim_is_told() -> None:
    """A forgotten call, a name in quotes."""
    with pytest.raises(
        TypeError, match="a claim is a function of the world, or has a name and an sql; got 'paid'"
    ):
        name_of("paid")  # type: ignore[arg-type]


def test_a_restart_is_a_claim_that_some_execution_has_one() -> None:
    """Named after its process."""
    assert name_of(restarted("bot")) == "restarted(bot)"


def test_failures_are_alike_when_the_same_claim_fails_in_the_same_way() -> None:
    """Whatever the rows were."""
    one = Failure("paid_once", "p-1 twice")
    assert one.is_like(Failure("paid_once", "p-2 twice"))
    assert not one.is_like(Failure("paid_once", "p-1 twice", kind="raised"))
    assert not one.is_like(Failure("other", "p-1 twice"))
    assert not one.is_like(None)
