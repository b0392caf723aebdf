"""The schema's history: which revision a database is at, and bringing it to the newest.

Bringing it there is alembic's work, through the drivers' synchronous side, by `reference init-db` and nobody else; `upgrade` is the one
door to it. Asking where a database stands is one SELECT through the engine that the service has anyway, so that serving needs no alembic.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.pool import NullPool

from reference.storage.sqlite import BUSY_TIMEOUT_S
from reference.storage.transactions import reading

if TYPE_CHECKING:
    from alembic.config import Config

    from reference.storage.engine import TrioEngine

log = logging.getLogger("reference.migrations")

REVISIONS = ("0001_purchase", "0002_rest", "0003_tickets", "0004_messages", "0005_worker")
"""Every revision, oldest first; the last one is what this program works with."""

HEAD = REVISIONS[-1]

_SYNCHRONOUS = {
    "sqlite": "sqlite+pysqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
}
_ONE_AT_A_TIME = (
    7_225_911  # any number: whoever migrates a PostgreSQL database holds the advisory lock with it
)


class SchemaError(Exception):
    """The database is not at the revision that this program works with; the message says what to do."""


async def require_head(engine: TrioEngine) -> None:
    """Make sure that a database is at `HEAD`.

    Raises:
        SchemaError: it is new, older, newer, or was not made by migrations.
        DBAPIError: it cannot be asked.
    """

    if engine.dialect.name == "sqlite" and not Path(str(engine.url.database)).exists():
        # Asking would make it, and the next one would wonder where an empty file comes from.
        raise SchemaError(f"there is no database {engine.url.database}; run: reference init-db")

    async def read(connection: AsyncConnection) -> str | None:
        if not await connection.run_sync(lambda sync: inspect(sync).has_table("alembic_version")):
            return None
        found = (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalars().all()
        return ", ".join(found) or None

    why = why_not_head(await reading(engine, read))
    if why is not None:
        raise SchemaError(why)


def why_not_head(revision: str | None) -> str | None:
    """Say what is wrong with a database at this revision, or None when nothing is.

    Args:
        revision: None: it has none.
    """
    if revision == HEAD:
        return None
    if revision is None:
        return "the database has no tables of ours, or none that migrations made; run: reference init-db"
    if revision in REVISIONS:
        return f"the database is at revision {revision}, older than this program's {HEAD}; run: reference init-db"
    return (
        f"the database is at revision {revision}, which this program does not know; it ends at {HEAD}. "
        f"A newer program has been here: install that one, migrating back is not supported"
    )


def upgrade(url: str | URL, revision: str = HEAD) -> tuple[str | None, str]:
    """Bring a database to a revision, in one transaction: afterwards it is there, or where it was.

    Any number of processes may do this at once; they come one after the other, and all but the first find nothing to do.

    Args:
        url: as for `open_engine`.
        revision: one of `REVISIONS`.

    Returns:
        Where it was (None: it was empty), and where it is.

    Raises:
        SchemaError: it is newer than this program, or has our tables without a revision.
        ModuleNotFoundError: alembic is not installed; the message names the extra.
    """
    try:
        from alembic import command
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(
            f"init-db needs {missing.name}: pip install 'turnstile[reference]'", name=missing.name
        ) from missing

    engine = _synchronous(url)
    try:
        with _alone(engine) as connection:
            before = current(connection)
            if before is None and (ours := _tables_of_ours(connection)):
                raise SchemaError(
                    f"the database has {len(ours)} tables of ours ({ours[0]} ...) and no revision: they were made by create_tables, "
                    f"for a test. Give init-db an empty database"
                )
            if before is not None and before not in REVISIONS:
                raise SchemaError(str(why_not_head(before)))
            command.upgrade(_config(connection), revision)
            return before, str(current(connection))
    finally:
        engine.dispose()


def current(connection: Connection) -> str | None:
    """The revision of a database, by a synchronous connection."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _tables_of_ours(connection: Connection) -> list[str]:
    from reference.storage import metadata  # its tables come from all over the room, which imports us

    return sorted(set(inspect(connection).get_table_names()) & set(metadata.tables))


def _config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _synchronous(url: str | URL) -> Engine:
    parsed = make_url(url)
    drivername = _SYNCHRONOUS[parsed.get_backend_name()]
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed.set(drivername=drivername), poolclass=NullPool)
    engine = create_engine(
        parsed.set(drivername=drivername), poolclass=NullPool, connect_args={"timeout": BUSY_TIMEOUT_S}
    )

    # The driver's own transactions do not include CREATE TABLE; ours do.
    @event.listens_for(engine, "connect")
    def no_transactions_of_its_own(connection: object, _record: object) -> None:
        connection.isolation_level = None  # type: ignore[attr-defined]

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    """A transaction beside which nobody else migrates."""
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ONE_AT_A_TIME})
        yield connection


__all__ = ["HEAD", "REVISIONS", "SchemaError", "current", "require_head", "upgrade", "why_not_head"]
