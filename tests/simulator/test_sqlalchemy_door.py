"""Does SQLAlchemy's async engine, as the reference opens it, run over the simulated connection?"""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
import trio

from reference.storage import open_engine
from simulator import Bounds, Claims, Crash, Limits, Operator, World, explore
from simulator.database.sqlite import SqliteDatabase
from simulator.execution import Simulation
from simulator.schedulers.seeded import Seeded

# The busy timeout is a timer too: if it may fire while the lock's holder is held up, its victim gets "database is locked".
PATIENT = Bounds(early_timers_max=0)
metadata = sa.MetaData()
accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("balance", sa.Integer, nullable=False, index=True),
    sa.Column("at", sa.DateTime, server_default=sa.func.current_timestamp()),
)


def balance_of(world: World) -> int:
    return int(world.database.rows("SELECT balance FROM accounts")[0]["balance"])


def deposits(*, begin_first: bool, times: int = 2) -> Any:
    """A scenario: deposits of 10, read and then written, in one writing transaction or in two statements of their own."""

    async def deposit(engine: Any) -> None:
        async with engine.begin() if begin_first else engine.connect() as connection:
            read = await connection.execute(sa.select(accounts.c.balance).where(accounts.c.id == 1))
            await connection.execute(accounts.update().values(balance=read.scalar_one() + 10))
            if not begin_first:
                await connection.commit()

    async def scenario(world: World) -> None:
        world.database.insert("accounts", id=1, balance=0)
        engine = open_engine(world.database.url, connect=world.database.connect)
        world.run(*[Operator(deposit, engine, name=f"deposit{number}") for number in range(times)])
        await world.quiesce()
        assert balance_of(world) == 10 * times

    return scenario


def test_the_engine_of_production_runs_under_control(execute: Any) -> None:
    """Statements and commits are points with labels, and the metadata's tables, indices and defaults are there."""
    outcome = execute(deposits(begin_first=True), schema=metadata, detailed=True)
    assert outcome.failure is None
    assert [point for lane, point, _ in outcome.trace.steps if lane == "deposit0"] == [
        "starts",
        "BEGIN IMMEDIATE",
        "SELECT accounts",
        "UPDATE accounts",
        "COMMIT accounts",
    ]
    site = next(access.site for accesses in outcome.trace.accesses.values() for access in accesses)
    assert site is not None
    assert site.path.endswith("storage/engine.py") or site.path.endswith("test_sqlalchemy_door.py")


@pytest.mark.parametrize("scheduler", ["bounded", "drawn", "seeded"])
def test_a_lost_update_through_sqlalchemy_is_found_and_the_transaction_holds(scheduler: str) -> None:
    """Read and write without a transaction lose a deposit in some schedule; with one, in none of those that are tried."""

    def look(begin_first: bool) -> Any:
        scenario = deposits(begin_first=begin_first)
        return explore(
            scenario,
            claims=Claims(),
            database=SqliteDatabase(metadata),
            scheduler=scheduler,
            limits=Limits(60),
            bounds=PATIENT,
        )

    lost = look(False)
    assert lost.failure is not None
    assert lost.failure.name == "the_scenarios_own_assertion"
    assert lost.outcome.preemptions == 1
    assert look(True).failure is None


def test_a_crash_in_the_middle_of_sqlalchemy_rolls_back_and_frees_the_lock() -> None:
    """At every moment: the balance is what was committed, whoever comes next gets the lock at once."""

    async def deposit(engine: Any) -> None:
        async with engine.begin() as connection:
            await connection.execute(accounts.update().values(balance=accounts.c.balance + 10))

    async def check(world: World) -> None:
        world.database.insert("accounts", id=1, balance=0)
        engine = open_engine(world.database.url, connect=world.database.connect)
        world.process("doomed").run(Operator(deposit, engine, name="doomed"))
        world.process("other").run(Operator(deposit, engine, name="other"))
        world.inject(Crash("doomed", down_s=None))
        await world.quiesce()
        committed = ("doomed", "COMMIT accounts") in [step[:2] for step in world.conductor.trace.steps]
        assert balance_of(world) == (20 if committed else 10)

    class Moment(Seeded):
        def __init__(self, seed: int, moment: int) -> None:
            super().__init__(seed)
            self._moment = moment

        def choose(self, options: Any) -> int:
            return self._moment if options.kind == "fault" else super().choose(options)

    struck = 0
    with Simulation(check, Claims(), SqliteDatabase(metadata), PATIENT) as simulation:
        for moment in range(6):
            for seed in range(15):
                outcome = simulation.execute(Moment(seed, moment))
                assert outcome.failure is None, outcome.failure
                struck += outcome.faults
    assert struck >= 50


def test_a_cancelled_task_closes_its_connection(execute: Any) -> None:
    """A timeout in the middle of a transaction rolls back and hands the lock on."""
    told: list[float] = []

    async def slow(engine: Any) -> None:
        with trio.move_on_after(2):
            async with engine.begin() as connection:
                await connection.execute(accounts.update().values(balance=1))
                await trio.sleep_forever()

    async def next_one(engine: Any) -> None:
        await trio.sleep(1)
        async with engine.begin() as connection:
            await connection.execute(accounts.update().values(balance=accounts.c.balance + 10))
        told.append(trio.current_time())

    async def scenario(world: World) -> None:
        world.database.insert("accounts", id=1, balance=0)
        engine = open_engine(world.database.url, connect=world.database.connect)
        world.run(Operator(slow, engine), Operator(next_one, engine))
        await world.quiesce()
        assert balance_of(world) == 10

    assert execute(scenario, schema=metadata).failure is None
    assert told == [2.0]
