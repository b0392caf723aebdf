"""Runs a variant and says what became of it: the rows of the verdict table."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scenarios.incidents.variants import Incident, Role, Variant, Verdict
from simulator import Exploration, Limits, Schedule, explore
from simulator.database import Database
from simulator.database.sqlite import SqliteDatabase
from simulator.oracles import name_of
from simulator.pytest_options import PROFILES
from simulator.report.story import Story, story

_PROFILE = PROFILES["merge"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of one variant.

    Attributes:
        incident: its name.
        variant: its name.
        role: deployed, proposed or reference.
        verdict: violated or holds.
        how: ``exhaustive`` when no schedule within the variant's bounds is left out, else ``sampled``.
        invariant: the claim that was violated; of what holds, the claims that were asked.
        executions: how many until it was found, or how many held.
        seconds: real time, shrinking included.
        reason: how the claim failed, in one line; of what holds, what the executions cover.
        told: the shortest story; None for what holds.
        schedule: replays that story; None for what holds.
        expected: what the variant says of itself.
        finds: the claim that it says is violated; empty for what should hold.
        vacuous: why what held shows nothing; empty otherwise.
    """

    incident: str
    variant: str
    role: Role
    verdict: Verdict
    how: str
    invariant: str
    executions: int
    seconds: float
    reason: str
    told: Story | None
    schedule: Schedule | None
    expected: Verdict
    finds: str = ""
    vacuous: str = ""

    @property
    def as_expected(self) -> bool:
        """Whether it is what the variant says of itself: another claim's violation is not."""
        by_the_claim = self.verdict == "holds" or self.invariant == self.finds
        return self.verdict == self.expected and by_the_claim and not self.vacuous

    def as_data(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "incident": self.incident,
            "variant": self.variant,
            "role": self.role,
            "verdict": self.verdict,
            "how": self.how,
            "invariant": self.invariant,
            "executions": self.executions,
            "seconds": round(self.seconds, 3),
            "story": self.told.lines() if self.told else [],
        }


def judge(
    incident: Incident,
    variant: Variant,
    *,
    executions: int | None = None,
    seed: int = 0,
    database: Callable[[Any], Database] = SqliteDatabase,
) -> Judgement:
    """Runs a variant as ``pytest scenarios/`` does.

    Args:
        incident: its incident.
        variant: the variant.
        executions: how many at most; None: what the variant or the profile says.
        seed: where chance begins.
        database: makes the engine for a schema.

    Raises:
        SimulatorError: anything but a violation stopped it.
    """
    wanted = variant.specification
    scheduler = wanted.scheduler or _PROFILE.scheduler
    assert wanted.schema is not None, f"{variant.name} keeps nothing: what would it violate?"
    found = explore(
        wanted.scenario,
        claims=wanted.claims,
        database=database(wanted.schema),
        scheduler=scheduler,
        limits=Limits(
            executions or _PROFILE.executions(wanted.executions, scheduler, said_with=scheduler), seed=seed
        ),
        bounds=wanted.bounds,
        test=f"scenarios/incidents/{incident.name}/test_verdicts.py::test_verdict[{variant.name}]",
    )
    return judgement_of(incident, variant, found)


def judgement_of(incident: Incident, variant: Variant, found: Exploration) -> Judgement:
    """What an exploration says of a variant."""
    wanted = variant.specification
    told = story(found.outcome.trace, found.start) if found.outcome is not None else None
    claims = (*wanted.claims.always, *wanted.claims.eventually)
    vacuous = ", ".join(found.unreached) + " was never reached" if found.unreached else ""
    return Judgement(
        incident=incident.name,
        variant=variant.name,
        role=variant.role,
        verdict="holds" if found.failure is None else "violated",
        how="exhaustive" if found.exhaustive else "sampled",
        invariant=found.failure.name if found.failure else ", ".join(map(name_of, claims)),
        executions=found.executions,
        seconds=found.seconds,
        reason=found.failure.reason if found.failure else _covered(found),
        told=told,
        schedule=found.schedule,
        expected=variant.expected,
        finds=name_of(wanted.finds) if wanted.finds is not None else "",
        vacuous=vacuous or ("" if wanted.sequential or found.failure else found.idle),
    )


def _covered(found: Exploration) -> str:
    return re.sub(r"\s+", " ", found.claim).strip()
