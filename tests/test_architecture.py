"""The arrows between rooms, and the doors to third parties, drawn from the imports themselves."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("simulator", "reference", "scenarios", "tests")

MAY_IMPORT = {
    "simulator": {"simulator"},
    "reference": {"reference"},
    "scenarios": {"scenarios", "reference", "simulator"},
    "tests": {"tests", "scenarios", "reference", "simulator"},
}
# Who may know a third party from the inside: one door each. The path is a prefix.
DOORS = {
    "hypothesis": ("simulator/schedulers/drawn.py",),
    "freezegun": ("simulator/clock.py",),
    "greenlet": ("simulator/runtime/trio_control.py",),
    "trio._": ("simulator/runtime/trio_control.py",),
    "aiosqlite": ("simulator/database/", "reference/storage/", "scenarios/"),
    "psycopg": ("simulator/database/", "reference/storage/", "scenarios/"),
    "sqlglot": ("simulator/database/",),
    "httpx": (
        "simulator/network",
        "scenarios/services/sdk.py",
        "scenarios/services/couriers.py",
        "scenarios/services/on_loopback.py",
        "scenarios/demo",
        "reference/clients/",
    ),
    "alembic": ("reference/storage/migrations/",),
    "hypercorn": ("reference/command/", "scenarios/services/on_loopback.py"),
    "stripe": ("scenarios/services/sdk.py", "reference/clients/"),
    "starlette": ("reference/http/",),
    "pydantic": ("reference/http/",),
    "prometheus_client": ("reference/http/",),
    "pytest": ("simulator/pytest_", "scenarios/"),
    "cronsim": ("simulator/actors.py", "reference/worker/turns.py"),
    "asyncio": ("tests/",),
    "threading": ("simulator/runtime/", "tests/"),
}


def sources() -> Iterator[Path]:
    """Every Python file of the four rooms."""
    for room in ROOMS:
        yield from sorted((ROOT / room).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """The full names of the modules that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_the_arrows_between_the_rooms_point_one_way() -> None:
    """tests -> scenarios -> {reference, simulator}; the last two never meet."""
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources()
        for name in imports(path)
        if (room := name.split(".")[0]) in ROOMS and room not in MAY_IMPORT[path.relative_to(ROOT).parts[0]]
    ]

    assert wrong == []


def test_every_third_party_has_one_door() -> None:
    """A library that could be replaced is known in one place."""
    wrong = [
        f"{where} imports {name}, whose door is {' or '.join(DOORS[party])}"
        for path in sources()
        if not (where := str(path.relative_to(ROOT))).startswith("tests/")
        for name in imports(path)
        for party in DOORS
        if (name == party or name.startswith(party if party.endswith("_") else f"{party}."))
        and not where.startswith(DOORS[party])
    ]

    assert sorted(set(wrong)) == []


def test_the_rules_would_notice(tmp_path: Path) -> None:
    """A rule that cannot fail is none: an import inside a function is seen, and a private module of trio too."""
    guilty = tmp_path / "guilty.py"
    guilty.write_text(
        "def f():\n    import reference.model\n    from trio._core import _run\n", encoding="utf-8"
    )

    assert {"reference.model", "trio._core", "trio._core._run"} <= set(imports(guilty))


@pytest.mark.parametrize("path", list(sources()), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_of_a_size_that_one_can_hold_in_mind(path: Path) -> None:
    """At 400 lines something is hiding in a file; a test file may be a little longer than what it tests."""
    lines = len(path.read_text(encoding="utf-8").splitlines())

    assert lines <= (500 if path.relative_to(ROOT).parts[0] == "tests" else 400)


def test_nothing_saved_is_executable() -> None:
    """Schedules and reports are data: no pickle and no eval anywhere."""
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sources()
        for name in imports(path)
        if name.split(".")[0] in {"pickle", "marshal", "shelve"}
    ]

    assert wrong == []
