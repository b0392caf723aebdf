"""What the command line says about simulations, and what holds when it says nothing. It runs nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from simulator.errors import SimulatorError
from simulator.runtime.helpers import cores
from simulator.schedule import Schedule, load_schedule
from simulator.schedulers import EXHAUSTIVE, is_sampler, search_named


@dataclass(frozen=True, slots=True)
class Profile:
    """How much to do when nobody says.

    Attributes:
        sampled: executions of a search that samples, for a test that does not say itself.
        enumerated: executions of a search that looks at every schedule: a bound of it is worth something only as a
            whole, so it gets more.
        exhausted: executions of a search for a proof, which is worth nothing before its end.
        factor: how many times as many as a test says itself.
        scheduler: the search.
    """

    sampled: int
    enumerated: int
    exhausted: int
    factor: int
    scheduler: str

    def executions(self, said: int | None, scheduler: str, *, said_with: str) -> int:
        """How many executions a test gets.

        Args:
            said: what the test says itself, or None.
            scheduler: the search that is used.
            said_with: the search that the test was written for; its number means nothing for another one.
        """
        if said is not None and scheduler == said_with:
            return said * self.factor
        if scheduler == EXHAUSTIVE:
            return self.exhausted
        return self.sampled if is_sampler(scheduler) else self.enumerated


PROFILES = {
    "merge": Profile(sampled=100, enumerated=1_000, exhausted=20_000, factor=1, scheduler="drawn"),
    "nightly": Profile(
        sampled=2_000, enumerated=50_000, exhausted=1_000_000, factor=20, scheduler="portfolio"
    ),
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
    interleavings: bool = False
    faults_max: int | None = None
    validate_footprints: bool = False
    resume: bool = False
    processes: int = 1


OPTIONS = pytest.StashKey[Options]()


def add_options(parser: pytest.Parser) -> None:
    """Adds the options, with what each one does when it is not given."""
    group = parser.getgroup("turnstile", "simulations (turnstile)")
    group.addoption(
        "--executions",
        type=int,
        metavar="N",
        help="executions per simulation (default: the test's own number, else the profile's)",
    )
    group.addoption(
        "--scheduler",
        metavar="NAME",
        help="drawn (by Hypothesis; the default), seeded (random walks), pct, surw, pos (samplers), "
        "portfolio (all of these by what pays; the default of nightly), bounded (every schedule with 0, 1, 2 ... "
        "deviations: preemptions, early timers and faults), or exhaustive (all interleavings up to equivalence, on SQLite)",
    )
    group.addoption("--seed", type=int, default=0, metavar="N", help="where chance begins (default: 0)")
    group.addoption(
        "--schedule",
        metavar="FILE",
        help="replay this saved schedule instead of exploring; without a path, the test that it belongs to is run",
    )
    group.addoption(
        "--schedules-folder",
        metavar="DIR",
        default=".turnstile",
        help="where failing schedules are saved, under the root folder (default: .turnstile)",
    )
    group.addoption(
        "--database",
        choices=("sqlite", "postgresql"),
        help="engine (default: that of the schedule, else sqlite)",
    )
    group.addoption(
        "--database-url", metavar="URL", help="a PostgreSQL server to use instead of a private one"
    )
    group.addoption(
        "--database-folder", metavar="DIR", help="where simulated SQLite files go (default: memory-backed)"
    )
    group.addoption(
        "--simulation-profile",
        choices=tuple(PROFILES),
        help="merge (the default: 100 sampled executions, or 1,000 enumerated ones) or nightly (20 times the test's "
        "own number, 2,000 or 50,000); also TURNSTILE_PROFILE",
    )
    group.addoption(
        "--check-determinism",
        action="store_true",
        help="run each schedule twice more and report the first difference",
    )
    group.addoption(
        "--faults-max",
        type=int,
        metavar="N",
        help="with --scheduler=exhaustive: at most so many faults in one execution (default: all that are injected)",
    )
    group.addoption(
        "--processes",
        type=int,
        metavar="N",
        help="with --scheduler=exhaustive: so many processes, which changes nothing but the time it takes (default: as many as "
        "there are cores; 1 in a worker of pytest-xdist)",
    )
    group.addoption(
        "--resume",
        action="store_true",
        help="with --scheduler=exhaustive: go on where the last run was broken off or used up its executions (what was "
        "left is saved beside the schedules as NAME.frontier)",
    )
    group.addoption(
        "--validate-footprints",
        action="store_true",
        help="with --scheduler=exhaustive: swap steps that it takes for independent, and fail if that makes a difference",
    )
    group.addoption(
        "--interleavings",
        action="store_true",
        help="say which conflicting pairs of points were seen in both orders and how much is still new, and save it "
        "beside the schedules as NAME.interleavings.json (portfolio does so anyway)",
    )


def read_options(config: pytest.Config) -> Options:
    """Reads the options once.

    Raises:
        pytest.UsageError: one of them is wrong.
    """
    option = config.getoption
    schedule = _schedule(option("--schedule"))
    executions = option("--executions")
    if executions is not None and executions < 1:
        raise pytest.UsageError(f"--executions must be at least 1; got {executions}")
    folder = option("--database-folder")
    return Options(
        profile=_profile(option("--simulation-profile")),
        executions=executions,
        scheduler=_scheduler(option("--scheduler")),
        seed=option("--seed"),
        schedule=schedule,
        schedule_path=option("--schedule") or "",
        folder=config.rootpath / option("--schedules-folder"),
        database=_database(option("--database"), schedule, option("--schedule")),
        database_url=option("--database-url"),
        database_folder=Path(folder) if folder else None,
        check_determinism=option("--check-determinism"),
        interleavings=option("--interleavings"),
        faults_max=option("--faults-max"),
        validate_footprints=option("--validate-footprints"),
        resume=option("--resume"),
        processes=_processes(config),
    )


def _processes(config: pytest.Config) -> int:
    said: int | None = config.getoption("--processes")
    if said is not None and said < 1:
        raise pytest.UsageError(f"--processes must be at least 1; got {said}")
    return said or (1 if hasattr(config, "workerinput") else cores())


def _schedule(path: str | None) -> Schedule | None:
    try:
        return load_schedule(Path(path)) if path else None
    except SimulatorError as error:
        raise pytest.UsageError(str(error)) from None


def _scheduler(name: str | None) -> str | None:
    try:
        if name is not None:
            search_named(name, length=2)
    except SimulatorError as error:
        raise pytest.UsageError(f"--scheduler: {error}") from None
    return name


def _profile(name: str | None) -> Profile:
    name = name or os.environ.get("TURNSTILE_PROFILE") or "merge"
    if name not in PROFILES:
        raise pytest.UsageError(
            f"TURNSTILE_PROFILE: there is no profile {name!r}; there are: {', '.join(PROFILES)}"
        )
    return PROFILES[name]


def _database(said: str | None, schedule: Schedule | None, path: str | None) -> str:
    recorded = schedule.database if schedule is not None else ""
    if recorded not in ("sqlite", "postgresql"):
        return said or "sqlite"
    if said is not None and said != recorded:
        raise pytest.UsageError(
            f"{path} was recorded on {recorded}: replay it there (leave --database={said} out)"
        )
    return recorded


__all__ = ["OPTIONS", "PROFILES", "Options", "Profile", "add_options", "read_options"]
