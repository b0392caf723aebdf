"""psycopg on trio against a real server: waiting, connecting, being cancelled, and the lock that serialises a buyer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from reference import Ensured
from reference.storage import open_engine, postgresql

if TYPE_CHECKING:
    from conftest import Shop

    from reference import TrioEngine

psycopg = pytest.importorskip("psycopg", reason='pip install "turnstile[postgresql]"')

DAY = 86_400


async def backends(engine: TrioEngine, like: str) -> int:
    """How many backends run a statement like this one."""
    async with engine.connect() as connection:
        ask = text(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE :like AND pid <> pg_backend_pid()"
        )
        return int(await connection.scalar(ask, {"like": like}))


async def test_a_statement_that_waits_lets_other_tasks_run(postgresql_engine: TrioEngine) -> None:
    """The wait for a row lock is a wait on trio: the task that holds the lock goes on and lets it go."""
    order = []
    async with postgresql_engine.begin() as setup:
        await setup.execute(text("INSERT INTO users(id) VALUES (1)"))

    async def take(name: str, after: trio.Event, then: trio.Event) -> None:
        await after.wait()
        async with postgresql_engine.begin() as connection:
            then.set()
            await connection.execute(text("UPDATE users SET vip = true WHERE id = 1"))
            order.append(name)
            await trio.lowlevel.checkpoint()

    start, first_is_in, second_is_in = trio.Event(), trio.Event(), trio.Event()
    start.set()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(take, "first", start, first_is_in)
        nursery.start_soon(take, "second", first_is_in, second_is_in)
    assert sorted(order) == ["first", "second"]


async def test_a_cancelled_statement_is_cancelled_on_the_server_too(postgresql_engine: TrioEngine) -> None:
    """Nobody waits for its answer, so it should not go on holding locks."""
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:

            async def cancel_when_it_runs() -> None:
                while not await backends(postgresql_engine, "%pg_sleep(60)%"):
                    pass
                scope.cancel()

            nursery.start_soon(cancel_when_it_runs)
            async with postgresql_engine.connect() as connection:
                await connection.scalar(text("SELECT pg_sleep(60)"))
    while await backends(postgresql_engine, "%pg_sleep(60)%"):
        pass
    assert scope.cancelled_caught


async def test_much_data_goes_both_ways(postgresql_engine: TrioEngine) -> None:
    """More than the socket's buffers hold, so that sending has to wait for the reading side in between."""
    big = "x" * 20_000_000
    async with postgresql_engine.connect() as connection:
        assert await connection.scalar(text("SELECT length(CAST(:big AS text))"), {"big": big}) == len(big)
        assert len(await connection.scalar(text("SELECT repeat('x', 20000000)"))) == len(big)


async def test_many_rows_in_one_call_go_through_a_pipeline(postgresql_engine: TrioEngine) -> None:
    """psycopg sends and receives at once there, and waits for whichever is ready."""
    async with postgresql_engine.begin() as connection:
        await connection.execute(text("INSERT INTO users(id) VALUES (:id)"), [{"id": n} for n in range(500)])
        assert await connection.scalar(text("SELECT count(*) FROM users")) == 500


async def test_a_host_name_is_resolved_without_blocking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every address becomes an entry of its own, and libpq tries them in turn."""

    class Resolver(trio.abc.HostnameResolver):
        async def getaddrinfo(self, *_: object, **__: int) -> list[tuple[object, ...]]:
            return [
                (2, 1, 6, "", ("192.0.2.1", 0)),
                (2, 1, 6, "", ("192.0.2.2", 0)),
                (2, 2, 17, "", ("192.0.2.1", 0)),
            ]

        async def getnameinfo(self, *_: object) -> tuple[str, str]:
            raise NotImplementedError

    trio.socket.set_custom_hostname_resolver(Resolver())  # for this run of trio only
    conninfo = await postgresql._with_addresses("host=db.example port=5433 dbname=shop")
    assert psycopg.conninfo.conninfo_to_dict(conninfo) == {
        "host": "db.example,db.example",
        "hostaddr": "192.0.2.1,192.0.2.2",
        "port": "5433",
        "dbname": "shop",
    }


@pytest.mark.parametrize(
    "conninfo", ["dbname=shop", "host=/run/postgresql", "host=a,b", "host=a hostaddr=192.0.2.1"]
)
async def test_what_needs_no_resolving_is_left_as_it_is(conninfo: str) -> None:
    """Sockets in the file system, lists, and addresses that are given."""
    assert await postgresql._with_addresses(conninfo) == conninfo


async def test_a_name_that_does_not_resolve_is_named() -> None:
    """As an error of the driver, which is what callers expect from connecting."""

    class Resolver(trio.abc.HostnameResolver):
        async def getaddrinfo(self, *_: object, **__: int) -> list[tuple[object, ...]]:
            raise OSError("no such name")

        async def getnameinfo(self, *_: object) -> tuple[str, str]:
            raise NotImplementedError

    trio.socket.set_custom_hostname_resolver(Resolver())
    with pytest.raises(psycopg.OperationalError, match=r"cannot resolve host 'db\.example': no such name"):
        await postgresql.connect_on_trio("host=db.example")


async def test_a_server_that_says_nothing_is_given_up(autojump_clock: trio.testing.MockClock) -> None:
    """libpq's asynchronous connect would wait for ever."""
    listener = trio.socket.socket()
    await listener.bind(("127.0.0.1", 0))
    listener.listen(1)
    with pytest.raises(psycopg.OperationalError, match="within 10 s"):
        await postgresql.connect_on_trio(
            f"host=127.0.0.1 port={listener.getsockname()[1]} sslmode=disable gssencmode=disable"
        )
    listener.close()


async def test_a_port_where_nobody_listens_is_an_error_of_the_driver() -> None:
    """Wrapped by SQLAlchemy like any other."""
    listener = trio.socket.socket()
    await listener.bind(("127.0.0.1", 0))  # taken, so that nobody else can have it, and not listening
    engine = open_engine(f"postgresql://u@127.0.0.1:{listener.getsockname()[1]}/shop")
    with pytest.raises(DBAPIError, match="refused"):
        async with engine.connect():
            pass
    listener.close()


async def test_ensure_by_eight_callers_at_once_grants_once(postgresql_shop: Shop) -> None:
    """READ COMMITTED, real connections: the buyer's row makes them queue, the key makes them agree."""
    shop = postgresql_shop
    payments = [await shop.paid(f"tap-{n}") for n in range(3)]
    outcomes = []

    async def ensure(payment: str) -> None:
        outcomes.append((await shop.service.ensure(payment)).result)

    async with trio.open_nursery() as nursery:
        for payment in payments * 8:
            nursery.start_soon(ensure, payment)
    assert outcomes.count(Ensured.GRANTED) == 3
    assert outcomes.count(Ensured.ALREADY) == 21
    assert await shop.expires_at() == shop.clock.at + 90 * DAY
    assert await shop.broken_claims() == {}
