"""What is read off a statement: never less than it looks at, and as much less than its tables as its text allows."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.database.predicates import Predicates
from simulator.effects import Look, Row, canonical, sees

COLUMNS = {"t": ["id", "a", "b"], "u": ["id", "t_id", "c"]}


@pytest.mark.parametrize(
    ("sql", "parameters", "wheres"),
    [
        ("SELECT * FROM t WHERE id = ?", (5,), {"t": [{"id": "5"}]}),
        (
            "SELECT * FROM t WHERE a = 'X' AND (b = ? OR id = 3) AND id = ?",
            (5, 6),
            {"t": [{"a": "x", "id": "6"}]},
        ),
        ("SELECT * FROM t WHERE id = :x", {"x": 1}, {"t": [{"id": "1"}]}),
        ("SELECT * FROM t WHERE a = 'it''s ?' AND b = ?", (7,), {"t": [{"a": "it's ?", "b": "7"}]}),
        (
            "SELECT * FROM t JOIN u ON u.t_id = t.id AND c = ? WHERE t.id = ?",
            (1, 2),
            {"t": [{"id": "2"}], "u": [{"c": "1"}]},
        ),
        ("SELECT * FROM t LEFT JOIN u ON t.a = ? AND u.c = ?", (5, 6), {"t": [{}], "u": [{"c": "6"}]}),
        (
            "SELECT * FROM t WHERE id IN (SELECT t_id FROM u WHERE c = ?) AND b = ?",
            (5, 6),
            {"t": [{"b": "6"}], "u": [{"c": "5"}]},
        ),
        (
            "SELECT (SELECT COUNT(*) FROM u WHERE u.t_id = x.id) FROM t x WHERE x.id = ?",
            (2,),
            {"t": [{"id": "2"}], "u": [{}]},
        ),
        (
            "SELECT * FROM t WHERE id = ? UNION SELECT * FROM t WHERE id = ?",
            (5, 6),
            {"t": [{"id": "5"}, {"id": "6"}]},
        ),
        (
            "WITH w AS (SELECT * FROM t WHERE id = ?) SELECT * FROM w WHERE b = ?",
            (1, 2),
            {"t": [{"id": "1"}]},
        ),
        ("SELECT * FROM t WHERE NOT (id = ?)", (5,), {"t": [{}]}),
        ("SELECT * FROM t WHERE id = ? OR a = ?", (5, 6), {"t": [{}]}),
        ("SELECT * FROM t WHERE id > ?", (5,), {"t": [{}]}),
        ("SELECT * FROM t, u WHERE id = ?", (5,), {"t": [{}], "u": [{}]}),
        ("SELECT * FROM t WHERE id = ?1", (5,), {"t": [{}]}),
        ("SELECT * FROM a_view WHERE id = ?", (5,), {"t": [{}]}),
        ("SELECT * FROM t WHERE id = ?", (object(),), {"t": [{}]}),
        ("SELECT * FROM t WHERE nobody = ?", (5,), {"t": [{}]}),
        ("this is no SQL (", (), {"t": [{}]}),
    ],
)
def test_looks(sql: str, parameters: Any, wheres: dict[str, list[dict[str, str]]]) -> None:
    looks, _ = Predicates(COLUMNS).looks(sql, parameters, list(wheres))
    found: dict[str, list[dict[str, str]]] = {}
    for look in looks:
        found.setdefault(look.table, []).append(dict(look.where))
    assert found == wheres


def test_a_look_for_want_of_knowing_better_is_counted() -> None:
    assert Predicates(COLUMNS).looks("SELECT * FROM a_view", None, ["t", "u"])[1] == 2
    assert (
        Predicates(COLUMNS).looks("SELECT * FROM t", None, ["t"])[1] == 0
    )  # the whole table is what it reads


@pytest.mark.parametrize(
    ("sql", "parameters", "image"),
    [
        ("UPDATE t SET a = ? WHERE id = ? AND a = 3", (5, 7), {"id": "7"}),
        ("UPDATE t SET a = ? WHERE id = ? OR a = 3", (5, 7), {}),
        ("UPDATE t SET (a, b) = (1, 2) WHERE a = 3", None, None),
        ("UPDATE t SET a = 1 FROM u WHERE u.id = t.id AND t.id = 4", None, None),
        ("DELETE FROM t WHERE id = ?", (7,), {"id": "7"}),
        ("DELETE FROM t", None, None),
        ("INSERT INTO t (id, a) VALUES (?, 'x')", (7,), {"id": "7", "a": "x"}),
        ("INSERT OR REPLACE INTO t (id, a) VALUES (?, 'x')", (7,), None),
        ("INSERT INTO t (id, a) VALUES (1, 2) ON CONFLICT (id) DO UPDATE SET a = 5", (), None),
        ("INSERT INTO t VALUES (1, 2, 3)", (), None),
        ("INSERT INTO t (id, a) SELECT 1, 2", (), None),
    ],
)
def test_what_rows_could_be_written(sql: str, parameters: Any, image: dict[str, str] | None) -> None:
    """What is said of a row must hold before the statement and after it."""
    (row,) = Predicates(COLUMNS).rows(sql, parameters, ["t"])
    assert (None if row.image is None else dict(row.image)) == image


def test_a_table_that_the_text_does_not_name_is_written_in_any_way() -> None:
    assert Row("u") in Predicates(COLUMNS).rows("DELETE FROM t WHERE id = 1", None, ["t", "u"])


@pytest.mark.parametrize(
    ("one", "other"),
    [(5, "5"), (5, 5.0), (True, 1), ("A", "a"), ("a ", "a"), ("5.0", 5), (" 7", 7), (1e3, 1000)],
)
def test_what_any_engine_may_take_for_equal_is_equal(one: Any, other: Any) -> None:
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(("one", "other"), [(5, 6), ("a", "b"), (5.5, 5), (None, 0), (b"5", 5), ("", None)])
def test_what_none_takes_for_equal_is_not(one: Any, other: Any) -> None:
    assert canonical(one) != canonical(other)


@pytest.mark.parametrize(
    ("where", "image", "met"),
    [
        ((), (("id", "1"),), True),
        ((("id", "1"),), (("id", "1"), ("v", "2")), True),
        ((("id", "1"),), (("id", "2"), ("v", "1")), False),
        ((("id", "1"), ("v", "3")), (("id", "1"), ("v", "2")), False),
        ((("id", "1"),), None, True),
        ((("id", "1"),), (("v", "2"),), True),
    ],
)
def test_a_look_meets_a_row_with_the_values_that_it_asks_for(where: Any, image: Any, *, met: bool) -> None:
    """What is not known of a row may be anything."""
    assert sees(Look("t", where), Row("t", image)) is met
    assert not sees(Look("other", where), Row("t", image))
