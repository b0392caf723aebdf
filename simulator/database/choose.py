"""Which engine a test runs on: what the command line says, made for the test's tables."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from simulator.database.door import Database, NoDatabase
from simulator.database.schema import Schema
from simulator.database.sqlite import SqliteDatabase


class Wanted(Protocol):
    """The part of the options that is about databases."""

    @property
    def database(self) -> str:
        """The engine's name."""

    @property
    def database_url(self) -> str | None:
        """A server to use."""

    @property
    def database_folder(self) -> Path | None:
        """Where SQLite files go."""


def database_for(schema: Schema | None, wanted: Wanted) -> Database:
    """Makes the database of a test; PostgreSQL's driver and server are looked for only when they are wanted."""
    if schema is None:
        return NoDatabase()
    if wanted.database == "postgresql":
        from simulator.database.postgresql import PostgresqlDatabase

        return PostgresqlDatabase(schema, url=wanted.database_url)
    return SqliteDatabase(schema, folder=wanted.database_folder)
