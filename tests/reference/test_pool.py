"""The pool: bounded, honest about who holds what, unharmed by cancellation, and it never asks asyncio for anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from reference.storage import TrioEngine, open_engine
from reference.storage.pool import TrioPool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SIZE = 2


def pool_of(engine: TrioEngine) -> TrioPool:
    found = engine.sync_engine.pool
    assert isinstance(found, TrioPool)
    return found


@pytest.fixture(params=["sqlite", "postgresql"])
async def pooled(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[TrioEngine]:
    """An engine with a pool of two, on each of the databases in turn."""
    url = f"sqlite:///{tmp_path / 'pool.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_url")
    engine = open_engine(url, pool_size=SIZE)
    async with engine.begin() as connection:
        await connection.execute(text("DROP TABLE IF EXISTS pooled"))
        await connection.execute(text("CREATE TABLE pooled (id INTEGER PRIMARY KEY)"))
    yield engine
    with trio.CancelScope(shield=True):
        await engine.dispose()


async def driver_connection(connection: Any) -> Any:
    return (await connection.get_raw_connection()).driver_connection


async def count(engine: TrioEngine) -> int:
    async with engine.snapshot() as connection:
        return int(await connection.scalar(text("SELECT count(*) FROM pooled")))


async def test_a_connection_is_kept_for_the_next_transaction(pooled: TrioEngine) -> None:
    """One after another, everybody gets the same one."""
    seen = []
    for _ in range(3):
        async with pooled.begin() as connection:
            seen.append(await driver_connection(connection))

    assert len({id(each) for each in seen}) == 1
    assert (pool_of(pooled).lent, pool_of(pooled).idle) == (0, 1)


async def test_there_are_never_more_connections_than_the_pool_is_large(pooled: TrioEngine) -> None:
    """Ten tasks share two connections, first come, first served, and all of them get through."""
    seen, most = [], 0

    async def read() -> None:
        nonlocal most
        async with pooled.snapshot() as connection:
            seen.append(await driver_connection(connection))
            most = max(most, pool_of(pooled).lent)
            await connection.execute(text("SELECT 1"))

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(read)

    assert len(seen) == 10
    assert len({id(each) for each in seen}) == most == SIZE
    assert pool_of(pooled).lent == 0


async def test_who_waits_too_long_is_told_so(pooled: TrioEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says how many there are, and nothing is lost by it."""
    monkeypatch.setattr(pool_of(pooled), "_wait_max_s", 0.01)
    async with pooled.snapshot(), pooled.snapshot():
        with pytest.raises(PoolTimeoutError, match="all 2 are with somebody"):
            async with pooled.snapshot():
                pytest.fail("there were two")

    assert pool_of(pooled).lent == 0
    assert await count(pooled) == 0


@pytest.mark.parametrize("where", ["waiting for one", "in a statement", "between statements"])
async def test_a_cancelled_borrower_takes_nothing_with_it(pooled: TrioEngine, where: str) -> None:
    """Neither a connection, nor a permit, nor a lock: afterwards all of the pool is there, and the next writer gets through."""
    writing = trio.Event()

    async def write(scope: trio.CancelScope) -> None:
        with scope:
            async with pooled.begin() as connection:
                await connection.execute(text("INSERT INTO pooled VALUES (1)"))
                writing.set()
                if where == "in a statement":
                    scope.cancel()
                    await connection.execute(text("SELECT 1"))
                await trio.sleep_forever()

    async def wait(scope: trio.CancelScope) -> None:
        with scope:
            async with pooled.snapshot(), pooled.snapshot():
                pytest.fail("the writer holds one of the two")

    writer, waiter = trio.CancelScope(), trio.CancelScope()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(write, writer)
        await writing.wait()
        if where == "waiting for one":
            nursery.start_soon(wait, waiter)
            await trio.testing.wait_all_tasks_blocked(0.05)
            waiter.cancel()
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert pool_of(pooled).lent == 1
        writer.cancel()

    assert pool_of(pooled).lent == 0
    assert await count(pooled) == 0
    async with pooled.begin() as connection:
        await connection.execute(text("INSERT INTO pooled VALUES (1)"))
    async with pooled.snapshot(), pooled.snapshot():
        assert pool_of(pooled).lent == SIZE


async def test_a_cancellation_at_every_checkpoint_leaks_nothing(pooled: TrioEngine) -> None:
    """The same transaction, cancelled at its first checkpoint, its second, and so on until it gets through."""
    add = text("INSERT INTO pooled(id) SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM pooled)")
    for allowed in range(1, 500):
        with trio.CancelScope() as scope:
            canceller = _CancelsAt(allowed, scope)
            async with pooled.begin() as connection:
                await connection.execute(add)
        canceller.stop()
        assert pool_of(pooled).lent == 0, f"cancelled at step {allowed}"
        if not scope.cancelled_caught:
            break
    else:
        pytest.fail("it never got through")
    assert allowed > 2, "it was not cancelled anywhere in between"
    assert await count(pooled) == 1


class _CancelsAt(trio.abc.Instrument):
    """Cancels a scope after the current task has been stopped so often."""

    def __init__(self, steps: int, scope: trio.CancelScope) -> None:
        self._left, self._scope = steps, scope
        self._task = trio.lowlevel.current_task()
        trio.lowlevel.add_instrument(self)

    def stop(self) -> None:
        if self._left > 0:
            trio.lowlevel.remove_instrument(self)

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is not self._task:
            return
        self._left -= 1
        if self._left == 0:
            trio.lowlevel.remove_instrument(self)
            self._scope.cancel()


async def test_a_pool_that_could_not_connect_can_connect_later(tmp_path: Path) -> None:
    """A failed attempt gives its permit back."""
    folder = tmp_path / "not yet"
    engine = open_engine(f"sqlite:///{folder / 'pool.db'}", pool_size=1)
    for _ in range(3):
        with pytest.raises(Exception, match="unable to open database file"):
            async with engine.begin():
                pytest.fail("there is no such folder")
    folder.mkdir()

    async with engine.begin() as connection:
        assert await connection.scalar(text("SELECT 1")) == 1
    await engine.dispose()


async def test_a_connection_that_broke_while_idle_is_replaced_unseen(postgresql_url: str) -> None:
    """The server was restarted, or somebody terminated us: the ping notices, and the borrower does not."""
    engine = open_engine(postgresql_url, pool_size=1)
    async with engine.snapshot() as connection:
        first = await connection.scalar(text("SELECT pg_backend_pid()"))
    async with open_engine(postgresql_url).begin() as other:
        await other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": first})

    async with engine.snapshot() as connection:
        second = await connection.scalar(text("SELECT pg_backend_pid()"))
    assert second != first
    assert (pool_of(engine).lent, pool_of(engine).idle) == (0, 1)
    await engine.dispose()


async def test_a_connection_that_breaks_in_use_costs_its_transaction_and_no_more(postgresql_url: str) -> None:
    """The error reaches the caller; the next one gets a connection that works."""
    engine = open_engine(postgresql_url, pool_size=1)
    with pytest.raises(Exception, match="terminat"):
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
            await connection.execute(text("SELECT 1"))

    assert pool_of(engine).lent == 0
    async with engine.snapshot() as connection:
        assert await connection.scalar(text("SELECT 1")) == 1
    await engine.dispose()


async def test_what_a_reader_left_open_is_rolled_back_before_the_next(pooled: TrioEngine) -> None:
    """A snapshot that is given back ends: the next borrower of the same connection sees what was committed since."""
    async with pooled.snapshot() as first:
        await first.scalar(text("SELECT count(*) FROM pooled"))
        async with pooled.begin() as writer:
            await writer.execute(text("INSERT INTO pooled VALUES (1)"))
        assert await first.scalar(text("SELECT count(*) FROM pooled")) == 0

    assert [await count(pooled) for _ in range(SIZE)] == [1] * SIZE


async def test_disposing_closes_what_is_idle(pooled: TrioEngine) -> None:
    """Nothing is left open when a process ends."""
    async with pooled.snapshot() as connection:
        raw = await driver_connection(connection)
    await pooled.dispose()

    assert raw.closed if pooled.dialect.name == "postgresql" else raw._connection is None
    assert pool_of(pooled).idle == 0


async def test_the_pool_never_asks_asyncio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where it waits."""
    import asyncio

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("asyncio was asked for")

    for name in ("get_event_loop", "get_running_loop", "create_task", "shield", "ensure_future", "wait_for"):
        monkeypatch.setattr(asyncio, name, refuse)
    engine = open_engine(f"sqlite:///{tmp_path / 'pool.db'}", pool_size=1)

    async def read() -> None:
        async with engine.snapshot() as connection:
            await connection.execute(text("SELECT 1"))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(read)
    await engine.dispose()


def test_a_pool_without_room_is_refused(tmp_path: Path) -> None:
    """Zero is "no pool" and never gets here; less than that is a mistake."""
    with pytest.raises(ValueError, match="at least one connection; got pool_size=-1"):
        open_engine(f"sqlite:///{tmp_path / 'pool.db'}", pool_size=-1)
