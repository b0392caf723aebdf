"""pytest's side: the options, a replay's one test, and the lines at the end of a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.pytest_options import OPTIONS, Options, add_options, read_options
from simulator.report import Line, summary_lines
from simulator.schedule import Schedule
from simulator.simulate import MARK

SUMMARY = "turnstile"  # the key of a user property: xdist carries those from its workers
DETAIL = "turnstile-report"
PROOF = "turnstile-proof"
NOTICES = pytest.StashKey[
    list[str]
]()  # what a test has to say that has no report, because it was interrupted


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options."""
    add_options(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Reads the options once; a wrong one ends the run with one line."""
    config.stash[NOTICES] = []
    options = config.stash[OPTIONS] = read_options(config)
    if options.schedule is None:
        return
    config.option.dist = (
        "no"  # one test needs no workers of pytest-xdist, whose errors would come back as crashes
    )
    if config.args_source is not config.ArgsSource.ARGS:
        _collect_only(config, options, options.schedule)


def _collect_only(config: pytest.Config, options: Options, schedule: Schedule) -> None:
    """No path was given: a schedule knows the file of its test."""
    if not schedule.test:
        raise pytest.UsageError(
            f"{options.schedule_path} names no test: give the path of the one that it is for"
        )
    file = schedule.test.partition("::")[0]
    if not (config.rootpath / file).is_file():
        raise pytest.UsageError(
            f"{options.schedule_path} belongs to {schedule.test}, and there is no file {file} in {config.rootpath}; "
            "if it was moved, give its path as well"
        )
    config.args = [str(config.rootpath / file)]
    config.args_source = config.ArgsSource.ARGS


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With ``--schedule``, only the test that the schedule belongs to runs.

    Raises:
        pytest.UsageError: it is not among those that were collected.
    """
    options = config.stash[OPTIONS]
    if options.schedule is None:
        return
    simulations = [item for item in items if hasattr(getattr(item, "obj", None), MARK)]
    wanted = _belonging_to(options.schedule.test, simulations)
    if len(wanted) != 1:
        name = options.schedule.test or "no test by name"
        raise pytest.UsageError(
            f"{options.schedule_path} belongs to {name}, which is not among the {len(simulations)} simulations "
            "collected here"
        )
    config.hook.pytest_deselected(items=[item for item in items if item not in wanted])
    items[:] = wanted


def _belonging_to(test: str, simulations: list[pytest.Item]) -> list[pytest.Item]:
    """The test of that id; else, where its file was moved, the one of that name; else the only one."""
    same = [item for item in simulations if item.nodeid == test]
    name = test.partition("::")[2]
    return same or [item for item in simulations if not test or item.nodeid.partition("::")[2] == name]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """A line for each simulation with news, and the reports of incidents that were replayed on purpose."""
    for detail in _said(terminalreporter, DETAIL):
        terminalreporter.write_sep("=", "replayed")
        terminalreporter.write_line(detail)
    for proof in _said(terminalreporter, PROOF):
        first, *more = proof.splitlines()
        terminalreporter.write_sep("=", "explored exhaustively")
        terminalreporter.write_line("\n  ".join([first, *more]))
    lines = [Line.from_text(text) for text in _said(terminalreporter, SUMMARY)]
    notices = config.stash[NOTICES]
    if lines or notices:
        terminalreporter.write_sep("=", "simulations")
        width = config.get_terminal_writer().fullwidth
        verbose = config.get_verbosity() > 0
        for text in [*summary_lines(lines, width=width, verbose=verbose, folder=_folder(config)), *notices]:
            terminalreporter.write_line(text)


def _said(terminalreporter: Any, key: str) -> Iterator[str]:
    """What simulations said, whatever else became of their tests (a test may be expected to fail)."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", "") == "call":
                yield from (str(value) for name, value in report.user_properties if name == key)


def _folder(config: pytest.Config) -> str:
    """Where schedules are, as one types it here."""
    return shown_path(config, config.stash[OPTIONS].folder)


def shown_path(config: pytest.Config, path: Path) -> str:
    """A path as one types it in the folder where pytest was started."""
    relative = os.path.relpath(path, config.invocation_params.dir)
    return min(relative, str(path), key=len)
