"""What the tests of PostgreSQL's door share: a database, schedules written as an order of lanes, three programs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from simulator import Bounds, Claims, Webhook, World
from simulator.database.server_binaries import HOW_TO_GET_ONE
from simulator.execution import Outcome, Simulation

if TYPE_CHECKING:
    from simulator.database.postgresql import PostgresqlDatabase
    from simulator.schedulers.base import Lane, Options

SCHEMA = """
CREATE TABLE subscriptions (id int PRIMARY KEY, expires_at int NOT NULL);
CREATE TABLE payments (id serial PRIMARY KEY, key text UNIQUE, subscription_id int REFERENCES subscriptions)
"""
Scenario = Callable[[World], Awaitable[None]]


class Order:
    """Lets lanes move in the order of their labels, then the first that can; faults strike at the moments given."""

    def __init__(self, *lanes: str, **moments: int) -> None:
        self._lanes = lanes
        self._moments = {name.replace("_", " "): moment for name, moment in moments.items()}

    def start(self, lanes: Sequence[Lane]) -> None:
        """The order is the plan."""

    def choose(self, options: Options) -> int:
        """Whose turn it is."""
        if options.kind == "fault":
            return self._moments.get(options.name, 0)
        wanted = self._lanes[options.step] if options.step < len(self._lanes) else ""
        return next((at for at, lane in enumerate(options.lanes) if lane.label == wanted), 0)


class Lab:
    """Everything that a test of this door needs, in one fixture."""

    schema = SCHEMA
    order = Order

    def __init__(self, url: str) -> None:
        self._url = url

    def database(self, schema: str = SCHEMA) -> PostgresqlDatabase:
        """A database that is made when it is opened."""
        from simulator.database.postgresql import PostgresqlDatabase

        return PostgresqlDatabase(schema, url=self._url)

    @contextmanager
    def world(
        self, scenario: Scenario, schema: str = SCHEMA, *, claims: Claims | None = None
    ) -> Iterator[Simulation]:
        """Opens a simulation of a scenario on a database of its own."""
        bounds = Bounds(early_timers_max=0)
        with Simulation(scenario, claims or Claims(), self.database(schema), bounds) as simulation:
            yield simulation

    @staticmethod
    def steps(outcome: Outcome) -> list[str]:
        """The steps as a saved schedule shows them, without starts and faults."""
        steps = outcome.trace.steps
        return [f"{lane}: {point}" for lane, point, _ in steps if point != "starts" and lane != "fault"]

    @staticmethod
    def notes(outcome: Outcome) -> list[str]:
        """What was remarked, in order."""
        return [note for step in sorted(outcome.trace.notes) for note in outcome.trace.notes[step]]

    @staticmethod
    async def value_of(connection: Any, sql: str, *parameters: object) -> Any:
        """The first value of the first row."""
        row = await (await connection.execute(sql, parameters)).fetchone()
        return row[0] if row is not None else None

    @staticmethod
    def extensions(extend: Callable[[World], Awaitable[None]]) -> Scenario:
        """Two deliveries that each extend subscription 1, which ends at 100, by 30."""

        async def scenario(world: World) -> None:
            world.database.insert("subscriptions", id=1, expires_at=100)
            world.run(Webhook(extend, world, deliveries=2, name="extend"))
            await world.quiesce()
            ends = world.database.rows("SELECT expires_at FROM subscriptions")[0]["expires_at"]
            assert ends == 160, f"extended to {ends}"

        return scenario

    async def read_then_write(self, world: World) -> None:
        """As it was deployed."""
        connection = await world.database.connect()
        ends = await self.value_of(connection, "SELECT expires_at FROM subscriptions WHERE id = %s", 1)
        await connection.execute("UPDATE subscriptions SET expires_at = %s WHERE id = %s", (ends + 30, 1))
        await connection.commit()
        await connection.close()

    async def add_in_place(self, world: World) -> None:
        """As it should be."""
        connection = await world.database.connect()
        await connection.execute(
            "UPDATE subscriptions SET expires_at = expires_at + %s WHERE id = %s", (30, 1)
        )
        await connection.commit()
        await connection.close()

    async def lock_then_write(self, world: World) -> None:
        """As it may be, too."""
        connection = await world.database.connect()
        async with connection.transaction():
            ends = await self.value_of(
                connection, "SELECT expires_at FROM subscriptions WHERE id = 1 FOR UPDATE"
            )
            await connection.execute("UPDATE subscriptions SET expires_at = %s WHERE id = 1", (ends + 30,))
        await connection.close()


@pytest.fixture
def lab(request: pytest.FixtureRequest) -> Lab:
    """A workbench on the session's PostgreSQL; without server, driver or parser the test is skipped and says why."""
    pytest.importorskip("psycopg", reason=HOW_TO_GET_ONE)
    pytest.importorskip("sqlglot", reason=HOW_TO_GET_ONE)
    return Lab(request.getfixturevalue("postgresql_url"))
