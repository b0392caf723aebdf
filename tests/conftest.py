"""What all tests may ask for: things that are dear to start, once per process of pytest."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from simulator.database.server import PostgresUnavailable, create_database, drop_database, server_url

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest_plugins = "pytester"  # for the tests of our own plugin; pytest wants this line in the topmost conftest


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """The URL of a database that was empty when the session began; without PostgreSQL the test is skipped.

    A server that was named (TURNSTILE_POSTGRESQL_URL) and cannot be used is an error, not a skip.
    """
    name = f"turnstile_tests_{os.getpid()}"  # on a shared server each worker of pytest-xdist has its own
    try:
        server = server_url()
        url = create_database(server, name)
    except PostgresUnavailable as reason:
        pytest.skip(str(reason))
    yield url
    drop_database(server, name)
