"""Migrations: what they make is what the metadata says, to the last check and partial index; and a database of another age is named."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import pytest
import trio
from sqlalchemy import text

from reference.storage import create_tables, metadata, migrations, open_engine
from reference.storage.migrations import HEAD, REVISIONS, SchemaError, require_head, upgrade
from simulator.database.server import create_database, drop_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OURS_IS_ALEMBIC = "alembic_version"

SQLITE_CATALOGUE = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"
POSTGRESQL_CATALOGUE = """
    SELECT 'column', table_name || '.' || column_name,
           concat_ws(' ', ordinal_position, data_type, is_nullable, column_default) FROM information_schema.columns
    WHERE table_schema = 'public'
    UNION ALL SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
    ORDER BY 1, 2
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Makes empty databases by name, and returns their URLs."""
    if request.param == "sqlite":
        yield lambda name: f"sqlite:///{tmp_path / name}.db"
        return
    server, made = request.getfixturevalue("postgresql_url"), []
    parts = urlsplit(server)
    base = parts.path.lstrip("/")

    def make(name: str) -> str:
        made.append(f"{base}_{name}")
        return create_database(urlunsplit(parts), made[-1])

    yield make
    for name in made:
        drop_database(urlunsplit(parts), name)


async def _catalogue(url: str) -> list[tuple[str, ...]]:
    engine = open_engine(url)
    sql = SQLITE_CATALOGUE if engine.dialect.name == "sqlite" else POSTGRESQL_CATALOGUE
    async with engine.snapshot() as connection:
        rows = (await connection.execute(text(sql))).all()
    return [
        tuple(_sorted_clauses(" ".join(str(value).split())) for value in row)
        for row in rows
        if not any(OURS_IS_ALEMBIC in str(value) for value in row)
    ]


def _sorted_clauses(sql: str) -> str:
    """SQLite keeps the text of CREATE TABLE, and in which order its constraints stand there means nothing."""
    if not sql.startswith("CREATE TABLE"):
        return sql
    head, _, body = sql.partition("(")
    clauses, depth = [""], 0
    for sign in body.rstrip(")"):
        depth += (sign == "(") - (sign == ")")
        if sign == "," and depth == 0:
            clauses.append("")
        else:
            clauses[-1] += sign
    return "\n".join([head, *sorted(clause.strip() for clause in clauses)])


def catalogue(url: str) -> list[tuple[str, ...]]:
    """Everything that the database knows of its schema, in its own words, but for alembic's table."""
    return trio.run(_catalogue, url)


def test_what_migrations_make_is_what_the_metadata_says(empty: Callable[[str], str]) -> None:
    """Compared in the catalogue's own words: columns, defaults, checks, partial indexes, deferred keys; alembic compares half of it."""
    migrated, created = empty("migrated"), empty("created")
    assert upgrade(migrated) == (None, HEAD)
    trio.run(create_tables, open_engine(created))

    assert catalogue(migrated) == catalogue(created)
    words = " ".join(value for row in catalogue(migrated) for value in row)
    assert "uq_subscriptions_live_user" in words
    assert "WHERE is_active" in words or "WHERE (is_active)" in words


def test_autogenerate_finds_nothing_to_do(empty: Callable[[str], str]) -> None:
    """The same question, asked of alembic: it would also see a table that is in one of them only."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    url = empty("migrated")
    upgrade(url)
    engine = migrations._synchronous(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})

        assert compare_metadata(context, metadata) == []


def test_a_column_that_no_migration_knows_would_be_noticed(tmp_path: Path) -> None:
    """The comparison can fail: a database that lacks one check is told from one that has it."""
    url = f"sqlite:///{tmp_path / 'a.db'}"
    upgrade(url)
    before = catalogue(url)
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection:
        connection.executescript(
            "DROP INDEX uq_subscriptions_live_user; ALTER TABLE users ADD COLUMN x INTEGER"
        )

    assert {row[1] for row in set(before) ^ set(catalogue(url))} == {"uq_subscriptions_live_user", "users"}


def test_every_revision_leads_to_the_next(empty: Callable[[str], str]) -> None:
    """One by one, from nothing to the newest; and the list in the package is the one in the folder."""
    from alembic.script import ScriptDirectory

    url = empty("stepwise")
    steps = [upgrade(url, revision) for revision in REVISIONS]

    assert steps == list(zip((None, *REVISIONS[:-1]), REVISIONS, strict=True))
    engine = migrations._synchronous(url)
    with engine.connect() as connection:
        folder = ScriptDirectory.from_config(migrations._config(connection))
    assert [each.revision for each in folder.walk_revisions()] == list(reversed(REVISIONS))


def test_migrating_twice_changes_nothing(empty: Callable[[str], str]) -> None:
    """A deploy runs init-db each time."""
    url = empty("twice")
    upgrade(url)

    assert upgrade(url) == (HEAD, HEAD)


def test_two_that_migrate_at_once_come_one_after_the_other(empty: Callable[[str], str]) -> None:
    """Two machines of one deploy: one makes everything, the other finds it made."""
    url = empty("together")
    found: list[tuple[str | None, str]] = []

    async def migrate() -> None:
        found.append(await trio.to_thread.run_sync(upgrade, url))

    async def both() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(migrate)
            nursery.start_soon(migrate)

    upgrade(url, REVISIONS[0])  # alembic's own imports and files are not what two threads should meet in
    trio.run(both)

    assert sorted(found) == [(REVISIONS[0], HEAD), (HEAD, HEAD)]


def test_a_migration_that_fails_leaves_the_database_as_it_was(
    empty: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also on SQLite, whose driver would commit before each CREATE TABLE."""
    url = empty("fails")
    upgrade(url, REVISIONS[1])
    before = catalogue(url)
    from alembic import op

    made: list[str] = []
    create_table = op.create_table

    def create_some(name: str, *columns: object, **options: object) -> object:
        made.append(name)
        if len(made) == 3:
            raise RuntimeError("the disk is full")
        return create_table(name, *columns, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(op, "create_table", create_some)
    with pytest.raises(RuntimeError, match="the disk is full"):
        upgrade(url)

    assert len(made) == 3
    assert catalogue(url) == before


async def _require(url: str) -> None:
    await require_head(open_engine(url))


def test_a_database_of_another_age_is_named(empty: Callable[[str], str]) -> None:
    """New, older, newer, made by hand: four sentences, each of which says what to do."""
    url = empty("age")
    with pytest.raises(SchemaError, match=r"(no database|no tables of ours).*run: reference init-db"):
        trio.run(_require, url)
    upgrade(url, REVISIONS[0])
    with pytest.raises(SchemaError, match=f"at revision {REVISIONS[0]}, older than this program's {HEAD}"):
        trio.run(_require, url)
    upgrade(url)
    trio.run(_require, url)

    async def from_the_future() -> None:
        async with open_engine(url).begin() as connection:
            await connection.execute(text("UPDATE alembic_version SET version_num = '0099_future'"))

    trio.run(from_the_future)
    with pytest.raises(SchemaError, match="0099_future, which this program does not know"):
        trio.run(_require, url)
    with pytest.raises(SchemaError, match="A newer program has been here"):
        upgrade(url)


def test_tables_without_a_revision_are_not_migrated_over(empty: Callable[[str], str]) -> None:
    """A database of create_tables has no history that a migration could go on from."""
    url = empty("by_hand")
    trio.run(create_tables, open_engine(url))

    with pytest.raises(SchemaError, match=r"tables of ours .* and no revision"):
        upgrade(url)


def test_without_alembic_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Serving does not need it; init-db does."""
    import sys

    monkeypatch.setitem(sys.modules, "alembic", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"init-db needs alembic: pip install 'turnstile\[reference\]'"
    ):
        upgrade(f"sqlite:///{tmp_path / 'a.db'}")
