"""What is read off a PostgreSQL statement: never less than it touches, and as much less than its tables as its text allows."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from simulator.database.server_binaries import HOW_TO_GET_ONE

pytest.importorskip("psycopg", reason=HOW_TO_GET_ONE)
pytest.importorskip("sqlglot", reason=HOW_TO_GET_ONE)

import psycopg

from simulator.database.postgresql_catalog import read_catalog
from simulator.database.postgresql_flight import Operation
from simulator.database.postgresql_keys import read_keys
from simulator.database.postgresql_shapes import Shapes
from simulator.database.postgresql_statements import Statements
from simulator.database.postgresql_touch import Touched

SCHEMA = """
CREATE SCHEMA touch; SET search_path = touch, public;
CREATE TABLE public.accounts (id int PRIMARY KEY, name text UNIQUE, code uuid, price numeric(8, 2), at timestamp,
                              twice int GENERATED ALWAYS AS (id * 2) STORED);
CREATE TABLE public.parts (id serial PRIMARY KEY, account_id int REFERENCES public.accounts, label varchar(9));
CREATE TABLE public.late (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED);
CREATE VIEW public.named AS SELECT id, name FROM public.accounts;
CREATE FUNCTION public.peeks() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';
"""


@pytest.fixture(scope="module")
def statements(postgresql_url: str) -> Any:
    """Asked as a door asks, of a schema of its own that is gone afterwards."""
    with psycopg.connect(postgresql_url, autocommit=True, row_factory=psycopg.rows.dict_row) as monitor:
        monitor.execute(SCHEMA)
        try:
            catalog, keys = read_catalog(monitor), read_keys(monitor)
        finally:
            monitor.execute(
                "DROP FUNCTION peeks; DROP VIEW named; DROP TABLE late, parts, accounts; DROP SCHEMA touch"
            )
    plain = catalog.__class__(
        **{name: getattr(catalog, name) for name in catalog.__slots__} | {"functions": frozenset()}
    )
    return {True: Statements(catalog, keys), False: Statements(plain, keys), "shapes": Shapes(plain)}


def touched(statements: Any, sql: str, parameters: Any = None, *, functions: bool = False) -> Touched:
    shape = statements["shapes"].of(sql, parameters=parameters is not None)
    (found,) = statements[functions].touched(Operation(shape, sql, parameters))
    return found


def wheres(looks: Any) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for look in looks:
        found.setdefault(look.table, []).append(dict(look.where))
    return found


CODE = "0a0b0c0d-0000-4000-8000-000000000001"


@pytest.mark.parametrize(
    ("sql", "parameters", "looks"),
    [
        ("SELECT * FROM accounts WHERE id = %s", (5,), {"accounts": [{"id": "5"}]}),
        ("SELECT * FROM accounts WHERE id = %(a)s::INTEGER", {"a": 5}, {"accounts": [{"id": "5"}]}),
        ("SELECT * FROM accounts WHERE id = %s::INTEGER", (5.4,), {"accounts": [{}]}),
        (
            "SELECT * FROM accounts WHERE name = %(n)s::VARCHAR AND id > 3",
            {"n": "Ann"},
            {"accounts": [{"name": "ann"}]},
        ),
        ("SELECT * FROM accounts WHERE name = %s::VARCHAR(2)", ("Ann",), {"accounts": [{}]}),
        ("SELECT * FROM accounts WHERE code = %s", (UUID(CODE),), {"accounts": [{"code": UUID(CODE).hex}]}),
        (
            "SELECT * FROM accounts WHERE code = %s",
            (f"{{{CODE.upper()}}}",),
            {"accounts": [{"code": UUID(CODE).hex}]},
        ),
        ("SELECT * FROM accounts WHERE price = 1.10", None, {"accounts": [{}]}),
        ("SELECT * FROM accounts WHERE at = '2026-01-01'", None, {"accounts": [{}]}),
        ("SELECT * FROM accounts WHERE twice = 4", None, {"accounts": [{}]}),
        ("SELECT * FROM named WHERE id = 4", None, {"accounts": [{}]}),
        (
            "SELECT * FROM parts JOIN accounts ON accounts.id = account_id WHERE accounts.id = %s AND label = 'x'",
            (1,),
            {"parts": [{"label": "x"}], "accounts": [{"id": "1"}]},
        ),
        ("WITH w AS (SELECT * FROM parts WHERE id = 1) SELECT * FROM w", None, {"parts": [{"id": "1"}]}),
        ("SELECT 10 %% 3 FROM parts WHERE id = %s", (1,), {"parts": [{"id": "1"}]}),
    ],
)
def test_what_a_select_looks_at(statements: Any, sql: str, parameters: Any, looks: Any) -> None:
    assert wheres(touched(statements, sql, parameters).looks) == looks


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM pg_locks",
        "SELECT pg_notify('a', 'b')",
        "SELECT set_config('search_path', 'x', false)",
        "TRUNCATE parts",
        "LOCK TABLE parts",
        "ALTER TABLE parts ADD COLUMN more int",
        "DO $$ BEGIN END $$",
        "LISTEN a",
        "NOTIFY a",
        "MERGE INTO parts USING accounts ON true WHEN MATCHED THEN DELETE",
        "WITH gone AS (DELETE FROM parts RETURNING *) SELECT * FROM gone",
        "SELECT * FROM not_there",
        "SELECT (((",
        "UPDATE named SET name = 'x'",
    ],
)
def test_what_nobody_understands_conflicts_with_everything(statements: Any, sql: str) -> None:
    touch = touched(statements, sql).touch
    assert touch.everything
    assert touch.stays == "transaction"


@pytest.mark.parametrize("sql", ["SELECT peeks()", "UPDATE parts SET label = 'x'", "SELECT * FROM named"])
def test_where_the_schema_has_functions_of_its_own_they_may_be_anywhere(statements: Any, sql: str) -> None:
    assert touched(statements, sql, functions=True).touch.everything


@pytest.mark.parametrize(
    ("sql", "stays"),
    [
        ("BEGIN", ""),
        ("BEGIN ISOLATION LEVEL READ COMMITTED", ""),
        ("BEGIN ISOLATION LEVEL REPEATABLE READ", "transaction"),
        ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "transaction"),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE", "session"),
        ("SET default_transaction_isolation = 'repeatable read'", "session"),
        ("SET default_transaction_isolation TO 'read committed'", ""),
        ("SET search_path TO other", "session"),
        ("SET LOCAL timezone = 'UTC'", ""),
    ],
)
def test_settings_that_change_what_later_statements_see(statements: Any, sql: str, stays: str) -> None:
    assert touched(statements, sql).touch.stays == stays


def test_an_insert_waits_for_its_keys_and_holds_what_it_refers_to(statements: Any) -> None:
    found = touched(statements, "INSERT INTO parts (account_id, label) VALUES (%s, 'x')", (7,))
    assert ("key share", {"id": "7"}) in [(mode, dict(at.where)) for mode, at in found.locks]
    assert wheres(found.wanted) == {"parts": [{}]}  # its own number comes from a sequence
    assert found.touch.writes == (("sequence", "parts"),)
    assert wheres(found.rows) == {"parts": [{"account_id": "7", "label": "x"}]}
    numbered = touched(statements, "INSERT INTO parts (id, label) VALUES (1, 'x')")
    assert numbered.touch.writes == ()
    assert wheres(numbered.wanted) == {"parts": [{"id": "1"}]}


def test_the_mode_of_a_lock_depends_on_what_is_assigned(statements: Any) -> None:
    plain = touched(statements, "UPDATE accounts SET price = 1 WHERE id = 1 AND name = 'x'")
    assert [mode for mode, _ in plain.locks] == ["no key update"]
    assert wheres(plain.rows) == {"accounts": [{"id": "1", "name": "x"}]}
    assert plain.wanted == []
    moved = touched(statements, "UPDATE accounts SET name = 'y' WHERE id = 1 AND name = 'x'")
    assert [mode for mode, _ in moved.locks] == ["update"]
    assert wheres(moved.rows) == {"accounts": [{"id": "1"}]}
    assert wheres(moved.wanted) == {"accounts": [{}]}
    gone = touched(statements, "DELETE FROM accounts WHERE id = 1")
    assert [(mode, at.table, dict(at.where)) for mode, at in gone.locks] == [
        ("update", "accounts", {"id": "1"}),
        ("key share", "parts", {"account_id": "1"}),
    ]
