"""pytest's side: options, profiles, and the lines at the end of a run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from simulator.errors import SimulatorError
from simulator.schedule import Schedule, load_schedule
from simulator.schedulers import search_named
from simulator.simulate import MARK

SUMMARY = "turnstile"  # the key of a user property: xdist carries those from its workers
DETAIL = "turnstile-report"


@dataclass(frozen=True, slots=True)
class Profile:
    """How much to do when nobody says.

    Attributes:
        executions: for a test that does not say itself.
        factor: how many times as many as a test says itself.
        scheduler: the search.
    """

    executions: int
    factor: int
    scheduler: str


PROFILES = {
    "merge": Profile(executions=100, factor=1, scheduler="drawn"),
    "nightly": Profile(executions=2_000, factor=20, scheduler="drawn"),
}


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line said about simulations."""

    profile: Profile
    executions: int | None
    scheduler: str | None
    seed: int
    schedule: Schedule | None
    schedule_path: str
    folder: Path
    database: str
    database_url: str | None
    database_folder: Path | None
    check_determinism: bool


OPTIONS = pytest.StashKey[Options]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options."""
    group = parser.getgroup("turnstile", "simulations (turnstile)")
    group.addoption("--executions", type=int, metavar="N", help="executions per simulation (default: the profile's)")
    group.addoption("--scheduler", metavar="NAME", help="drawn (by Hypothesis), seeded, or bounded (preemptions)")
    group.addoption("--seed", type=int, default=0, metavar="N", help="where chance begins (default: 0)")
    group.addoption("--schedule", metavar="FILE", help="replay this saved schedule instead of exploring")
    group.addoption(
        "--schedules-folder",
        metavar="DIR",
        default=".turnstile",
        help="where failing schedules are saved (default: .turnstile)",
    )
    group.addoption("--database", choices=("sqlite", "postgresql"), default="sqlite", help="engine (default: sqlite)")
    group.addoption("--database-url", metavar="URL", help="a PostgreSQL server to use instead of a private one")
    group.addoption("--database-folder", metavar="DIR", help="where simulated SQLite files go (default: memory-backed)")
    group.addoption(
        "--simulation-profile",
        choices=tuple(PROFILES),
        default=os.environ.get("TURNSTILE_PROFILE", "merge"),
        help="merge (default: before a merge) or nightly; also TURNSTILE_PROFILE",
    )
    group.addoption(
        "--check-determinism", action="store_true", help="run each schedule twice and report the first difference"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Reads the options once; a wrong one ends the run with one line."""
    option = config.getoption
    try:
        path = option("--schedule")
        schedule = load_schedule(Path(path)) if path else None
        if option("--scheduler"):
            search_named(option("--scheduler"), length=2)
    except SimulatorError as error:
        raise pytest.UsageError(str(error)) from None
    if (option("--executions") or 1) < 1:
        raise pytest.UsageError(f"--executions must be at least 1; got {option('--executions')}")
    folder = option("--database-folder")
    config.stash[OPTIONS] = Options(
        profile=PROFILES[option("--simulation-profile")],
        executions=option("--executions"),
        scheduler=option("--scheduler"),
        seed=option("--seed"),
        schedule=schedule,
        schedule_path=path or "",
        folder=config.rootpath / option("--schedules-folder"),
        database=option("--database"),
        database_url=option("--database-url"),
        database_folder=Path(folder) if folder else None,
        check_determinism=option("--check-determinism"),
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With ``--schedule``, only the test that the schedule belongs to runs.

    Raises:
        pytest.UsageError: it is not among those that were collected.
    """
    schedule = config.stash[OPTIONS].schedule
    if schedule is None or not schedule.test:
        return
    simulations = [item for item in items if hasattr(getattr(item, "obj", None), MARK)]
    wanted = [item for item in simulations if item.nodeid == schedule.test]
    if not wanted:
        path = config.stash[OPTIONS].schedule_path
        raise pytest.UsageError(
            f"{path} belongs to {schedule.test}, which is not among the {len(simulations)} simulations collected here"
        )
    config.hook.pytest_deselected(items=[item for item in items if item not in wanted])
    items[:] = wanted


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A line for each simulation, and the reports of incidents that were replayed on purpose."""
    reports = [
        report
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        if getattr(report, "when", "") == "call"
    ]
    lines = [value for report in reports for key, value in report.user_properties if key == SUMMARY]
    details = [value for report in reports for key, value in report.user_properties if key == DETAIL]
    for detail in details:
        terminalreporter.section("replayed")
        terminalreporter.write_line(str(detail))
    if lines:
        terminalreporter.section("simulations")
        for line in lines:
            terminalreporter.write_line(str(line))
