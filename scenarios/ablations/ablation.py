"""One ablation as a value, and how it is run: what is taken away, which scenario runs without it, which claim must fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from unittest import mock

from sqlalchemy import MetaData

from scenarios.ablations.tables import without_keys
from simulator import Exploration, Limits, Specification, explore, specification_of
from simulator.database import Database
from simulator.database.sqlite import SqliteDatabase
from simulator.oracles import name_of
from simulator.pytest_options import PROFILES

_PROFILE = PROFILES["merge"]

Change = tuple[object, str, object]
"""A module or class, the name of what stands there, and what stands there instead: what `mock.patch.object` takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ablation:
    """A guard, and how one sees that it bears load.

    Args:
        name: unique, in words joined by underscores.
        guard: what is taken away, in a sentence.
        where: the file under the project's root, and the name in it: ``reference/flows/ledger.py:append``.
        scenario: a ``@simulate(...)`` function that holds while the guard is there.
        claim: the claim that must be found violated without it; ``no_unexpected_error`` only together with ``raises``.
        changes: what is put in the guard's place.
        keys: names of keys of the schema (``pk_inbox``) that are taken away.
        raises: where the guard's absence shows as an error that nobody expected: a part of its text.
        alone: whether this guard alone is taken away. False: another guard stands behind it, which `guard` names, and only
            without both does anything happen; each is then kept as a second line, and `guard` says what for.
        engine: the database that it is about.
    """

    name: str
    guard: str
    where: str
    scenario: Callable[..., None]
    claim: str
    changes: Sequence[Change] = ()
    keys: Sequence[str] = ()
    raises: str = ""
    alone: bool = True
    engine: str = "sqlite"

    def __post_init__(self) -> None:
        if not self.changes and not self.keys:
            raise ValueError(f"{self.name} takes nothing away")
        if (self.claim == "no_unexpected_error") != bool(self.raises):
            raise ValueError(f"{self.name}: an unexpected error is a finding only when its text is named")
        if specification_of(self.scenario).finds is not None:
            raise ValueError(f"{self.name}: its scenario is violated already")

    @property
    def specification(self) -> Specification:
        """What runs, with the tables that the ablation leaves."""
        specification = specification_of(self.scenario)
        if not self.keys:
            return specification
        tables = specification.schema
        assert isinstance(tables, MetaData), f"{self.name}: its scenario's tables are not the reference's"
        return replace(specification, schema=without_keys(tables, *self.keys))

    @contextmanager
    def removed(self) -> Iterator[None]:
        """While inside, the guard is gone; what was there stands again afterwards, whatever happens."""
        with ExitStack() as stack:
            for owner, name, instead in self.changes:
                stack.enter_context(mock.patch.object(owner, name, instead))
            yield


@dataclass(frozen=True, slots=True)
class Killed:
    """What became of an ablation.

    Attributes:
        ablation: which.
        by: the claim that noticed; empty when nothing did.
        reason: in its words.
        executions: how many until then, or how many held.
        seconds: real time.
        noticed: whether the claim that was named is the one that noticed.
    """

    ablation: Ablation
    by: str
    reason: str
    executions: int
    seconds: float
    noticed: bool = field(default=False)


def run(
    ablation: Ablation,
    *,
    executions: int | None = None,
    seed: int = 0,
    database: Callable[[Any], Database] = SqliteDatabase,
) -> Killed:
    """Runs the scenario without the guard.

    Args:
        ablation: which.
        executions: how many at most; None: what the scenario or the default profile says.
        seed: where chance begins.
        database: makes the engine for a schema.
    """
    wanted = ablation.specification
    scheduler = wanted.scheduler or _PROFILE.scheduler
    assert wanted.schema is not None
    with ablation.removed():
        found = explore(
            wanted.scenario,
            claims=wanted.claims,
            database=database(wanted.schema),
            scheduler=scheduler,
            limits=Limits(
                executions or _PROFILE.executions(wanted.executions, scheduler, said_with=scheduler),
                seed=seed,
            ),
            bounds=wanted.bounds,
            shrinking=False,
        )
    return _killed(ablation, wanted, found)


def _killed(ablation: Ablation, wanted: Specification, found: Exploration) -> Killed:
    if found.failure is None:
        unreached = ", ".join(found.unreached)
        noticed = ablation.claim in found.unreached
        return Killed(
            ablation,
            ablation.claim if noticed else "",
            f"{unreached} is not reached any more" if unreached else f"nothing noticed: {found.claim}",
            found.executions,
            found.seconds,
            noticed,
        )
    names = {name_of(claim) for claim in (*wanted.claims.always, *wanted.claims.eventually)}
    by, reason = found.failure.name, found.failure.reason
    noticed = by == ablation.claim and (by in names or (bool(ablation.raises) and ablation.raises in reason))
    return Killed(ablation, by, reason, found.executions, found.seconds, noticed)
