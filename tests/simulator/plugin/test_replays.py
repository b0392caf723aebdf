"""Replays: the short command, moved tests, drift."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest


def test_the_printed_command_replays_a_failure_without_a_path(run: Any) -> None:
    """The file knows its test: nothing else is collected, and the test fails with the same report."""
    first = run(run.found + run.violated + run.holds)
    first.assert_outcomes(passed=2, failed=1)
    again = run(run.found + run.violated + run.holds, run.printed(first))
    again.assert_outcomes(failed=1, deselected=2)
    again.stdout.fnmatch_lines(
        ["never_lost: is 1", "replay: pytest --schedule=.turnstile/no_addition_is_lost-*"]
    )
    assert "collected 3 items / 2 deselected" in again.stdout.str()


def test_an_incident_that_is_replayed_passes_and_is_shown_at_the_end(
    run: Any, pytester: pytest.Pytester
) -> None:
    """The whole report: that is what one replays it for."""
    run(run.found).assert_outcomes(passed=1)
    [path] = run.schedules()
    again = run(run.found, f"--schedule={path}")
    again.assert_outcomes(passed=1)
    again.stdout.fnmatch_lines(
        ["*= replayed =*", "never_lost: is 1", "*reads*switch", "replay: pytest --sch*"]
    )


def test_with_a_path_a_test_that_was_moved_is_found_by_its_name(run: Any) -> None:
    """Without one, the error says that a path would help."""
    moved = run.schedule.replace("tests/test_shop.py", "tests/test_before.py")
    run(run.violated, run.saved(moved), "tests").assert_outcomes(failed=1)
    result = run(run.violated, run.saved(moved))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: x.schedule belongs to tests/test_before.py::*, and there is no file *; if it was moved, give *"
        ]
    )


def test_a_replay_that_drifts_says_where(run: Any) -> None:
    """Above the report where the claim is violated all the same; else in the test's own words."""
    option = run.saved(run.schedule)
    edited = run.violated.replace("two(world)", "two(world, adds_and_logs)")
    program = """
    async def adds_and_logs(world):
        await adds(world)
        await world.point("logs")
"""
    result = run(program + edited, option)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "the code has changed since: step 7: the schedule says that nobody moves any more*",
            "never_lost: is 1",
        ]
    )

    mended = """
    async def adds_at_once(world):
        await world.point("adds")
        VALUE[0] += 1
"""
    result = run(mended + run.violated.replace("two(world)", "two(world, adds_at_once)"), option)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "tests/test_shop.py::test_no_addition_is_lost: the schedule no longer violates never_lost",
            "the code has changed since: step 2: the schedule says 'first: reads', *",
        ]
    )

    for_found = run.schedule.replace("test_no_addition_is_lost", "test_an_addition_is_lost")
    result = run(mended + run.found.replace("two(world)", "two(world, adds_at_once)"), run.saved(for_found))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["the schedule no longer violates never_lost"])


def test_a_schedule_brings_its_engine_and_refuses_another(run: Any) -> None:
    """Its steps would mean something else there."""
    option = run.saved(run.schedule.replace("database: none", "database: sqlite"))
    result = run(run.violated, option, "--database=postgresql")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: x.schedule was recorded on sqlite: replay it there (leave --database=postgresql out)"]
    )


def test_it_runs_from_another_folder_than_the_root(run: Any, pytester: pytest.Pytester) -> None:
    """The printed path is one that can be typed there."""
    run(run.violated)
    here = Path.cwd()
    os.chdir(pytester.path / "tests")
    try:
        result = run.again("test_shop.py")
        again = run.again(run.printed(result))
    finally:
        os.chdir(here)
    again.assert_outcomes(failed=1)
