"""The production engine on trio: real files, real threads, no asyncio, and nobody left holding a lock."""

from __future__ import annotations

import sqlite3
import sys
from typing import TYPE_CHECKING

import aiosqlite
import pytest
import trio
from sqlalchemy import event, make_url, text
from sqlalchemy.exc import DBAPIError

from reference.storage import TrioConnection, TrioEngine, create_tables, open_engine
from reference.storage import sqlite as sqlite_room
from reference.storage.schema import metadata

if TYPE_CHECKING:
    from pathlib import Path

COUNT = text("SELECT count(*) FROM users")
ADD = text("INSERT INTO users(id) VALUES (:id)")


async def test_committed_rows_are_there_for_the_next_connection(engine: TrioEngine) -> None:
    """`begin` is a transaction on both databases."""
    async with engine.begin() as connection:
        await connection.execute(ADD, {"id": 1})
    async with engine.snapshot() as connection:
        assert isinstance(connection, TrioConnection)
        assert await connection.scalar(COUNT) == 1


async def test_a_block_that_raises_leaves_nothing(engine: TrioEngine) -> None:
    """Leaving the block by an exception rolls back."""

    async def fail() -> None:
        async with engine.begin() as connection:
            await connection.execute(ADD, {"id": 1})
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    async with engine.snapshot() as connection:
        assert await connection.scalar(COUNT) == 0


async def test_a_cancelled_block_leaves_nothing_and_holds_no_lock(engine: TrioEngine) -> None:
    """Closing is shielded: the next writer does not wait for a transaction that nobody owns."""
    with trio.CancelScope() as scope:
        async with engine.begin() as connection:
            await connection.execute(ADD, {"id": 1})
            scope.cancel()
            await trio.lowlevel.checkpoint()
    async with engine.begin() as connection:
        assert await connection.scalar(COUNT) == 0
        await connection.execute(ADD, {"id": 1})


async def test_a_statement_that_meets_a_cancellation_closes_its_connection_without_asyncio(
    engine: TrioEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLAlchemy takes a cancelled statement for a broken connection, and would terminate it with `asyncio.shield`."""
    import asyncio

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("asyncio was asked for")

    for name in ("get_event_loop", "get_running_loop", "create_task", "shield", "ensure_future"):
        monkeypatch.setattr(asyncio, name, refuse)
    with trio.CancelScope() as scope:
        async with engine.begin() as connection:
            await connection.execute(ADD, {"id": 1})
            scope.cancel()
            await connection.execute(
                text("SELECT repeat('x', 1000)" if engine.dialect.name == "postgresql" else "SELECT 1")
            )
    assert scope.cancelled_caught
    async with engine.begin() as connection:
        assert await connection.scalar(COUNT) == 0
        await connection.execute(ADD, {"id": 1})


async def test_a_snapshot_sees_one_state_while_a_writer_commits(engine: TrioEngine) -> None:
    """Two statements of one snapshot agree, whatever was committed between them."""
    async with engine.snapshot() as reader:
        before = await reader.scalar(COUNT)
        async with engine.begin() as writer:
            await writer.execute(ADD, {"id": 1})
        assert await reader.scalar(COUNT) == before == 0


async def test_what_is_written_in_a_snapshot_is_not_kept(sqlite_engine: TrioEngine) -> None:
    """SQLite has no read-only transaction; ours ends in a rollback."""
    async with sqlite_engine.snapshot() as connection:
        await connection.execute(ADD, {"id": 1})
    async with sqlite_engine.snapshot() as connection:
        assert await connection.scalar(COUNT) == 0


async def test_postgresql_refuses_to_write_in_a_snapshot(postgresql_engine: TrioEngine) -> None:
    """There the server says no."""
    with pytest.raises(DBAPIError, match="read-only"):
        async with postgresql_engine.snapshot() as connection:
            await connection.execute(ADD, {"id": 1})


async def test_five_tasks_may_make_the_first_connection_together(tmp_path: Path) -> None:
    """SQLAlchemy guards the first one with an asyncio lock, on which nobody waits here, since nothing happens under it.

    And SQLite lets only one of them switch the new file to WAL, at once or not at all.
    """
    url = make_url(f"sqlite+aiosqlite:///{tmp_path / 'first.db'}")
    together = trio.Event()
    arrived = 0

    async def connect() -> aiosqlite.Connection:
        nonlocal arrived
        arrived += 1
        if arrived == 5:
            together.set()
        await together.wait()
        return await sqlite_room.connector(url)()

    engine = open_engine(url, connect=connect)
    seen = []

    async def ask() -> None:
        async with engine.connect() as connection:
            await trio.sleep(0)
            seen.append(await connection.scalar(text("SELECT 1")))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(ask)
    assert seen == [1] * 5


async def test_opening_an_engine_touches_no_file(tmp_path: Path) -> None:
    """And no connection is kept: each use has one of its own, closed afterwards."""
    path = tmp_path / "later.db"
    engine = open_engine(f"sqlite+aiosqlite:///{path}")
    assert not path.exists()
    closed = 0

    @event.listens_for(engine.sync_engine, "close")
    def count(*_: object) -> None:
        nonlocal closed
        closed += 1

    for _ in range(3):
        async with engine.connect() as connection:
            await connection.scalar(text("SELECT 1"))
    assert closed == 3


async def test_an_engine_survives_one_trio_run_after_another(tmp_path: Path) -> None:
    """Nothing in it belongs to a run; a simulator keeps one engine over thousands of executions."""
    engine = open_engine(f"sqlite+aiosqlite:///{tmp_path / 'runs.db'}")

    async def ask() -> int:
        async with engine.connect() as connection:
            return int(await connection.scalar(text("SELECT 1")))

    def run_twice() -> int:
        return trio.run(ask) + trio.run(ask)

    assert await trio.to_thread.run_sync(run_twice) == 2


async def test_sqlite_connections_are_opened_as_money_needs_it(sqlite_engine: TrioEngine) -> None:
    """Write-ahead log, every commit on the disk, foreign keys enforced, five seconds of patience."""
    async with sqlite_engine.connect() as connection:
        pragmas = [
            await connection.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    assert pragmas == ["wal", 2, 1, 5000]


async def test_a_compiled_statement_is_used_again(sqlite_engine: TrioEngine) -> None:
    """The cache of compiled statements is on: compiling costs more than executing."""
    cache = sqlite_engine.sync_engine._compiled_cache
    assert cache is not None
    async with sqlite_engine.connect() as connection:
        await connection.execute(metadata.tables["users"].select())
        size = len(cache)
        await connection.execute(metadata.tables["users"].select())
    assert len(cache) == size


async def test_asyncio_is_never_asked_for_a_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path from opening to closing works where asyncio's loop functions do not exist."""
    import asyncio

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("asyncio was asked for")

    for name in ("get_event_loop", "get_running_loop", "create_task", "shield", "ensure_future"):
        monkeypatch.setattr(asyncio, name, refuse)
    engine = open_engine(f"sqlite+aiosqlite:///{tmp_path / 'trio.db'}")
    await create_tables(engine)
    async with engine.begin() as connection:
        await connection.execute(ADD, {"id": 1})
        with pytest.raises(DBAPIError, match="UNIQUE"):
            await connection.execute(ADD, {"id": 1})


async def test_a_closed_connection_says_so(tmp_path: Path) -> None:
    """In the words that SQLAlchemy takes for a disconnect; closing twice is allowed."""
    connection = await sqlite_room.ThreadedConnection(
        lambda: sqlite_room.open_file(str(tmp_path / "closed.db"))
    )
    await connection.close()
    await connection.close()
    with pytest.raises(ValueError, match="Connection closed"):
        await connection._execute(lambda: None)


async def test_a_file_that_cannot_be_opened_is_an_error_with_its_name_in_sqlite(tmp_path: Path) -> None:
    """And no thread or connection is left behind."""
    engine = open_engine(f"sqlite+aiosqlite:///{tmp_path}")
    with pytest.raises(DBAPIError, match="unable to open database file"):
        async with engine.connect():
            pass


async def test_a_file_that_is_no_database_is_closed_again(tmp_path: Path) -> None:
    """Configuring a connection may fail; the half-made one is closed (a warning would fail this test)."""
    path = tmp_path / "letter.txt"
    path.write_text("Dear engine, I am not a database, however long you look at me. " * 20)
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        sqlite_room.open_file(str(path))


@pytest.mark.parametrize(
    "url", ["sqlite+pysqlite:///x.db", "postgresql+asyncpg://h/d", "mysql+aiomysql://h/d"]
)
def test_a_database_of_another_kind_is_refused_by_name(url: str) -> None:
    """The error says what is known."""
    with pytest.raises(
        ValueError, match=r"is not a database of ours; known: sqlite\+aiosqlite, postgresql\+psycopg"
    ):
        open_engine(url)


@pytest.mark.parametrize("url", ["sqlite+aiosqlite://", "sqlite+aiosqlite:///:memory:"])
def test_a_database_in_memory_is_refused(url: str) -> None:
    """Each connection would have one of its own."""
    with pytest.raises(ValueError, match="give a path"):
        open_engine(url)


def test_postgresql_without_its_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before SQLAlchemy says it less clearly."""
    monkeypatch.setattr("reference.storage.postgresql.find_spec", lambda _name: None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "turnstile\[postgresql\]"'):
        open_engine("postgresql+psycopg://localhost/shop")


def test_psycopg_is_not_imported_for_sqlite() -> None:
    """It is an optional dependency."""
    import subprocess

    program = "import reference, sys; reference.open_engine('sqlite+aiosqlite:///x.db'); sys.exit('psycopg' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_url_without_a_driver_means_ours() -> None:
    """People have ``postgresql://`` in DATABASE_URL, and SQLAlchemy would look for a synchronous driver."""
    assert open_engine("sqlite:///x.db").url.drivername == "sqlite+aiosqlite"
    assert open_engine("postgresql://h/d").url.drivername == "postgresql+psycopg"


async def test_streaming_is_refused_by_name(sqlite_engine: TrioEngine) -> None:
    """It would end in an asyncio task."""
    async with sqlite_engine.connect() as connection:
        with pytest.raises(NotImplementedError, match="page through"):
            connection.stream(COUNT)


def test_execution_options_keep_the_engine_on_trio(tmp_path: Path) -> None:
    """SQLAlchemy's own method would return its asyncio class."""
    engine = open_engine(f"sqlite+aiosqlite:///{tmp_path / 'options.db'}")
    assert isinstance(engine.execution_options(logging_token="worker"), TrioEngine)
