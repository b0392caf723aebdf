"""Runs one decorated test: explore or replay, judge, save, and say it well."""

from __future__ import annotations

import hashlib
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from simulator.database.choose import database_for
from simulator.errors import SimulatorError
from simulator.exploration import Exploration, explore, replay
from simulator.oracles import name_of
from simulator.pytest_plugin import DETAIL, OPTIONS, SUMMARY, Options
from simulator.report import Facts, incident_report, summary_line
from simulator.schedulers.base import Limits

if TYPE_CHECKING:
    from simulator.simulate import Specification
    from simulator.world import World

_PROGRESS_EVERY = 200


def run_simulation(request: pytest.FixtureRequest, specification: Specification, arguments: dict[str, Any]) -> None:
    """What a decorated test does when pytest calls it."""
    __tracebackhide__ = True
    options = request.config.stash[OPTIONS]
    run = _Run(request, specification, options)

    async def scenario(world: World) -> None:
        await specification.scenario(world, **arguments)

    try:
        verdict = run.replay(scenario) if options.schedule is not None else run.explore(scenario)
    except SimulatorError as error:
        verdict = f"{type(error).__name__}: {error}"
    if verdict:
        pytest.fail(verdict, pytrace=False)


class _Run:
    """One test's run; each method returns the text of a failure, or nothing when the test passes."""

    def __init__(self, request: pytest.FixtureRequest, specification: Specification, options: Options) -> None:
        self._request = request
        self._specification = specification
        self._options = options
        self._test = request.node.nodeid
        self._path = options.folder / f"{_slug(self._test)}.schedule"

    def explore(self, scenario: Any) -> str:
        specification, options = self._specification, self._options
        profile = options.profile
        executions = (specification.executions or 0) * profile.factor or profile.executions
        result = explore(
            scenario,
            claims=specification.claims,
            database=database_for(specification.schema, options),
            scheduler=options.scheduler or specification.scheduler or profile.scheduler,
            limits=Limits(options.executions or executions, seed=options.seed),
            bounds=specification.bounds,
            test=self._test,
            progress=_progress(self._test),
            keep=lambda schedule: schedule.save(self._path),
            check_determinism=options.check_determinism,
        )
        if result.schedule is not None:
            result.schedule.save(self._path)
        return self._judge(result)

    def replay(self, scenario: Any) -> str:
        schedule = self._options.schedule
        assert schedule is not None
        result, drift = replay(
            scenario,
            schedule,
            claims=self._specification.claims,
            database=database_for(self._specification.schema, self._options),
            bounds=self._specification.bounds,
        )
        drifted = f"the code has changed since: {drift}" if drift else ""
        if result.failure is None:
            text = f"the schedule no longer violates {schedule.violates or 'anything'}. {drifted}".strip()
            if self._specification.finds is not None:
                return text
            self._say(SUMMARY, f"holds    {self._test}: {text}")
            return ""
        report = "\n".join(filter(None, [drifted, self._report(result, Path(self._options.schedule_path))]))
        if self._finds(result):
            self._say(DETAIL, report)
            return ""
        return report

    def _judge(self, result: Exploration) -> str:
        finds = self._specification.finds
        verdict = "holds" if result.failure is None else "violated"
        text = ""
        if finds is not None and result.failure is None:
            verdict = "missed"
            text = f"{name_of(finds)} was expected to be found violated and was not: {result.claim}"
        elif self._finds(result):
            verdict = "found"
        elif result.failure is not None:
            text = self._report(result, self._path)
            if finds is not None:
                text = f"expected to find {name_of(finds)} violated, and found another failure first\n\n{text}"
        elif result.unreached:
            verdict = "vacuous"
            text = (
                f"vacuous: {', '.join(result.unreached)} was never reached in {result.executions} executions, so what "
                "held shows nothing about it. Add executions, or let the scenario get there"
            )
        replay_with = self._command(self._path) if result.failure is not None else ""
        self._say(SUMMARY, summary_line(verdict, self._test, result, replay_with))
        return text

    def _finds(self, result: Exploration) -> bool:
        finds = self._specification.finds
        return finds is not None and result.failure is not None and result.failure.name == name_of(finds)

    def _report(self, result: Exploration, path: Path) -> str:
        assert result.failure is not None
        assert result.outcome is not None
        facts = Facts(
            test=self._test,
            database=result.schedule.database if result.schedule is not None else "",
            found_at=result.executions,
            executions=result.executions,
            shrunk_in=result.shrunk_in,
            minimal=result.minimal,
            replay=self._command(path),
            claim=self._claim_of(result.failure.name),
            start=result.start,
        )
        colour = bool(self._request.config.getoption("color") == "yes" or sys.stdout.isatty())
        return incident_report(result.failure, result.outcome, facts, colour=colour)

    def _claim_of(self, name: str) -> str:
        claims = self._specification.claims
        known = {name_of(claim): claim for claim in (*claims.always, *claims.eventually)}
        claim = known.get(name)
        return str(getattr(claim, "claim", "") or (getattr(claim, "__doc__", "") or "").split("\n")[0]) if claim else ""

    def _command(self, path: Path) -> str:
        shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
        database = "" if self._options.database == "sqlite" else f" --database={self._options.database}"
        return f"pytest {shlex.quote(self._test)} --schedule={shlex.quote(str(shown))}{database}"

    def _say(self, key: str, text: str) -> None:
        self._request.node.user_properties.append((key, text))


def _slug(test: str) -> str:
    """A file name that is readable, and unique even where two tests read alike."""
    readable = re.sub(r"[^A-Za-z0-9_]+", "-", test.split("/")[-1]).strip("-")[:120]
    return f"{readable}-{hashlib.sha256(test.encode()).hexdigest()[:8]}"


def _progress(test: str) -> Any:
    stream = sys.__stderr__
    if stream is None or not stream.isatty():
        return lambda _count: None

    def show(count: int) -> None:
        if count % _PROGRESS_EVERY == 0:
            stream.write(f"\r{test}: {count} executions \r")
            stream.flush()

    return show


