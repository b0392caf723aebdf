"""docs/operations.md has the tables that the code has: the environment's and the worker's."""

from __future__ import annotations

from pathlib import Path

from reference.configuration import VARIABLES, Variable
from reference.worker import SCHEDULE, Entry, Queue

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")


def environment_row(variable: Variable) -> str:
    marks = " ".join(["*"] * variable.required + ["secret"] * variable.secret)
    default = f"`{variable.default}`" if variable.default else ""
    return f"| `{variable.full_name}`{' ' * bool(marks)}{marks} | {variable.what} | {default} |"


def schedule_row(entry: Entry) -> str:
    method = f"`{entry.method}`"
    if isinstance(entry, Queue):
        when = f"queue, every {entry.every_s:g} s while empty"
        if "topics" in entry.arguments:
            method += " of " + ", ".join(f"`{topic}`" for topic in entry.arguments["topics"])
    else:
        when = f"sweep, every {entry.every_s} s" if entry.every_s else f"sweep, `{entry.cron}` UTC"
    return f"| {entry.name} | {when} | {method} | {entry.why} |"


def rows(first: str) -> list[str]:
    """The rows of the table that begins with this heading."""
    lines = PAGE.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(first)) + 2
    end = next(number for number in range(start, len(lines)) if not lines[number].startswith("|"))
    return lines[start:end]


def test_the_page_has_the_environments_table() -> None:
    """Row by row, in the code's order."""
    assert rows("| variable |") == [environment_row(variable) for variable in VARIABLES]


def test_the_page_has_the_workers_schedule() -> None:
    """Row by row, in the code's order."""
    assert rows("| what |") == [schedule_row(entry) for entry in SCHEDULE]
