"""Runs one decorated test: explore or replay, judge, save, and say it well."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pytest

from simulator.database.choose import database_for
from simulator.errors import FrontierError, SimulatorError
from simulator.exploration import Exploration, Interrupted, explore, replay
from simulator.oracles import name_of
from simulator.pytest_options import OPTIONS, Options
from simulator.pytest_plugin import DETAIL, NOTICES, PROOF, SUMMARY, shown_path
from simulator.report import Facts, incident_report, line_of, short_name
from simulator.runtime.callsite import is_users
from simulator.schedule import Schedule
from simulator.schedulers import EXHAUSTIVE
from simulator.schedulers.base import Limits

if TYPE_CHECKING:
    from simulator.simulate import Specification
    from simulator.world import World

_WIDTH = 120  # of a report in a log


def _is_no_verdict(excinfo: pytest.ExceptionInfo[BaseException] | None) -> bool:
    """Hides a frame, unless it is the one that a verdict needs: pytest complains where it has hidden every frame."""
    return excinfo is None or not isinstance(excinfo.value, pytest.fail.Exception)


def run_simulation(
    request: pytest.FixtureRequest,
    specification: Specification,
    instance: tuple[Any, ...],
    arguments: dict[str, Any],
) -> None:
    """What a decorated test does when pytest calls it.

    Args:
        request: pytest's.
        specification: what the decorator was told.
        instance: of the test class, where the scenario is a method.
        arguments: what pytest fills in.
    """
    __tracebackhide__ = _is_no_verdict
    options = request.config.stash.get(OPTIONS, None)
    if options is None:
        pytest.fail(
            "turnstile's pytest plugin is not loaded: install the package, or give -p simulator.pytest_plugin",
            False,
        )
    if specification.schema is not None and options.database not in specification.engines:
        pytest.skip(f"its claims are about {' and '.join(specification.engines)}: give --database")
    run = _Run(request, specification, options)

    async def scenario(world: World) -> None:
        await specification.scenario(*instance, world, **arguments)

    try:
        verdict = run.replay(scenario) if options.schedule is not None else run.explore(scenario)
    except SimulatorError as error:
        verdict = f"{type(error).__name__}: {error}{run.how_to_see_it()}"
    except Exception as error:
        if note := run.how_to_see_it():
            error.add_note(note.strip())
        raise error.with_traceback(_users_frames(error.__traceback__)) from error.__cause__
    if verdict:
        pytest.fail(verdict, pytrace=False)


class _Run:
    """One test's run; each method returns the text of a failure, or nothing when the test passes."""

    def __init__(
        self, request: pytest.FixtureRequest, specification: Specification, options: Options
    ) -> None:
        self._request = request
        self._specification = specification
        self._options = options
        self._test = request.node.nodeid
        self._name = short_name(self._test)
        self._path = options.folder / f"{self._name}.schedule"
        self._saved: Path | None = None

    def explore(self, scenario: Any) -> str:
        """Looks for a violation."""
        try:
            result = explore(
                scenario,
                claims=self._specification.claims,
                database=database_for(self._specification.schema, self._options),
                scheduler=self._scheduler,
                limits=Limits(
                    self._executions,
                    seed=self._options.seed,
                    faults_max=self._options.faults_max,
                    validate=self._options.validate_footprints,
                ),
                bounds=self._specification.bounds,
                test=self._test,
                shrinking=self._specification.shrinking,
                keep=self._save,
                check_determinism=self._options.check_determinism,
                coverage=self._options.interleavings,
                processes=self._options.processes,
                frontier=_SavedFrontier(
                    self._path.with_suffix(".frontier"), self._tell, resume=self._options.resume
                ),
            )
        except Interrupted as interrupted:
            self._interrupted(interrupted)
            raise
        except FrontierError as error:
            saved = self._path.with_suffix(".frontier")
            raise FrontierError(f"{saved}: {error}; without --resume the search begins anew") from None
        if result.schedule is not None:
            self._save(result.schedule)
        if result.coverage is not None:
            result.coverage.save(self._path.with_suffix(".interleavings.json"), test=self._test)
        verdict, text = self._judge(result)
        if verdict == "holds" and result.details and self._scheduler == EXHAUSTIVE:
            self._say(PROOF, "\n".join([f"{self._name}: {result.claim}", *result.details]))
        self._say(SUMMARY, line_of(verdict, self._name, result).as_text())
        return text

    def replay(self, scenario: Any) -> str:
        """Looks at one saved execution once more."""
        schedule = self._options.schedule
        assert schedule is not None
        self._saved = Path(self._options.schedule_path).absolute()
        result, drift = replay(
            scenario,
            schedule,
            claims=self._specification.claims,
            database=database_for(self._specification.schema, self._options),
            bounds=self._specification.bounds,
        )
        drifted = f"the code has changed since: {drift}" if drift else ""
        if result.failure is None:
            return self._no_longer(schedule, drifted)
        report = "\n\n".join(filter(None, [drifted, self._report(result)]))
        if not self._finds(result):
            return report
        self._say(DETAIL, report)
        return ""

    def _no_longer(self, schedule: Schedule, drifted: str) -> str:
        text = "\n".join(
            filter(None, [f"the schedule no longer violates {schedule.violates or 'anything'}", drifted])
        )
        if self._specification.finds is not None:
            return text
        self._say(DETAIL, f"{self._test}: {text}")
        return ""

    @property
    def _scheduler(self) -> str:
        return self._options.scheduler or self._said_with

    @property
    def _said_with(self) -> str:
        return self._specification.scheduler or self._options.profile.scheduler

    @property
    def _executions(self) -> int:
        said, profile = self._specification.executions, self._options.profile
        return self._options.executions or profile.executions(
            said, self._scheduler, said_with=self._said_with
        )

    def _judge(self, result: Exploration) -> tuple[str, str]:
        """The verdict, and the text of a failure."""
        specification = self._specification
        if self._finds(result):
            return "found", ""
        if result.failure is not None:
            return "violated", self._unexpected(result)
        if result.inconclusive:
            return "inconclusive", "\n".join([f"inconclusive: {result.inconclusive}", *result.details])
        if specification.finds is not None:
            idle = f"; {result.idle}" if result.idle else ""
            missed = f"{name_of(specification.finds)} was expected to be found violated and was not: {result.claim}{idle}"
            return "missed", missed
        if result.unreached:
            return "vacuous", (
                f"vacuous: {', '.join(result.unreached)} was never reached in {result.claim}, so what held shows nothing "
                "about it. Add executions, or let the scenario get there"
            )
        if result.idle and not (specification.sequential and result.idle.startswith("nothing interleaved")):
            return "vacuous", (
                f"vacuous: {result.idle}, so what held shows nothing about races. Let the scenario run more than one "
                "actor at a time or inject a fault, or say @simulate(sequential=True) if that is meant"
            )
        return "holds", ""

    def _unexpected(self, result: Exploration) -> str:
        finds = self._specification.finds
        first = (
            f"expected to find {name_of(finds)} violated, and found another failure first\n\n"
            if finds
            else ""
        )
        return first + self._report(result)

    def _finds(self, result: Exploration) -> bool:
        finds = self._specification.finds
        return finds is not None and result.failure is not None and result.failure.name == name_of(finds)

    def _report(self, result: Exploration) -> str:
        assert result.failure is not None
        assert result.outcome is not None
        database = result.schedule.database if result.schedule is not None else ""
        facts = Facts(
            test=self._test,
            database=database if database != "none" else "",
            found_at=result.executions,
            executions=result.executions,
            shrunk_in=result.shrunk_in,
            minimal=result.minimal,
            replay=self._command(),
            claim=self._claim_of(result.failure.name),
            start=result.start,
        )
        terminal = self._request.config.get_terminal_writer()
        # A log has no width to keep to, and what goes into a file of results is not painted.
        width = terminal.fullwidth if terminal.hasmarkup else _WIDTH
        colour = terminal.hasmarkup and not self._request.config.getoption("xmlpath", None)
        return incident_report(result.failure, result.outcome, facts, width=width, colour=colour)

    def _claim_of(self, name: str) -> str:
        claims = self._specification.claims
        known = {name_of(claim): claim for claim in (*claims.always, *claims.eventually)}
        claim = known.get(name)
        return (
            str(getattr(claim, "claim", "") or (getattr(claim, "__doc__", "") or "").split("\n")[0])
            if claim
            else ""
        )

    def _save(self, schedule: Schedule) -> None:
        schedule.save(self._path)
        self._saved = self._path

    def _command(self) -> str:
        path = shown_path(self._request.config, self._saved or self._path)
        return f"pytest --schedule={shlex.quote(path)}"

    def how_to_see_it(self) -> str:
        """After an error that is no verdict: how to see it again; empty when nothing was saved."""
        return f"\nreplay: {self._command()}" if self._saved is not None else ""

    def _interrupted(self, interrupted: Interrupted) -> None:
        if interrupted.schedule is not None:
            self._save(interrupted.schedule)
        best = f"; the shortest failure so far: {self._command()}" if self._saved is not None else ""
        notices = self._request.config.stash[NOTICES]
        notices.append(f"{self._name}: {interrupted}{best}")
        notices.extend(f"  {line}" for line in interrupted.details)

    def _tell(self, how_far: str) -> None:
        """To whoever waits; workers of pytest-xdist have no terminal."""
        reporter = self._request.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None and reporter.isatty:
            reporter.rewrite(f"{self._name}: {how_far}", erase=True)

    def _say(self, key: str, text: str) -> None:
        self._request.node.user_properties.append((key, text))


class _SavedFrontier:
    """A file beside the schedules."""

    def __init__(self, path: Path, tell: Callable[[str], None], *, resume: bool) -> None:
        self._path = path
        self.hear = tell
        self._resume = resume

    def load(self) -> str:
        """What the last run left, if this one is to go on from there."""
        return self._path.read_text(encoding="utf-8") if self._resume and self._path.is_file() else ""

    def save(self, text: str) -> None:
        """Keeps it, or takes away what is out of date."""
        if text:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(text, encoding="utf-8")
        else:
            self._path.unlink(missing_ok=True)


def _users_frames(trace: TracebackType | None) -> TracebackType | None:
    """A traceback without the simulator's and the libraries' frames: the reader's own code is what went wrong."""
    users: list[TracebackType] = []
    while trace is not None:
        if is_users(trace.tb_frame):
            users.append(trace)
        trace = trace.tb_next
    kept: TracebackType | None = None
    for entry in reversed(users):
        kept = TracebackType(kept, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return kept
