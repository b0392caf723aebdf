"""The decorator that turns ``async def test(world)`` into a test over many executions."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from simulator.database.schema import Schema
from simulator.execution import Bounds, Claims
from simulator.oracles import Claim, name_of

MARK = "_turnstile_simulation"


@dataclass(frozen=True, slots=True)
class Specification:
    """What a decorated test asked for.

    Attributes:
        scenario: the undecorated function.
        schema: its tables, or None for a scenario without a database.
        claims: what must hold.
        finds: the claim that must be found violated, or None.
        executions: how many, in the default profile; None for the profile's own number.
        scheduler: the search, or None for the profile's own.
        bounds: how far one execution may go.
    """

    scenario: Callable[..., Any]
    schema: Schema | None
    claims: Claims
    finds: Claim | None
    executions: int | None
    scheduler: str | None
    bounds: Bounds


def simulate(
    *,
    schema: Schema | None = None,
    always: Sequence[Claim] = (),
    eventually: Sequence[Claim] = (),
    sometimes: Sequence[Claim] = (),
    finds: Claim | None = None,
    executions: int | None = None,
    scheduler: str | None = None,
    steps_max: int = 10_000,
    early_timers_max: int = 2,
    latency_bound_s: float = 30.0,
) -> Callable[[Callable[..., Any]], Callable[..., None]]:
    """Makes a pytest test of a scenario.

    The scenario is an async function whose first parameter is the world; its other parameters are filled by pytest
    (``parametrize``, fixtures), once for all executions.

    Args:
        schema: its tables: SQL, SQLAlchemy ``MetaData``, or a function of the engine's name that returns one of them.
        always: claims that hold after every commit.
        eventually: claims that hold when nothing moves any more.
        sometimes: claims of which each must be reached in at least one execution, or the test fails as vacuous.
        finds: a claim that must be found violated: the test passes when it is, and fails when it is not.
        executions: how many, in the default profile; ``--executions`` overrides it.
        scheduler: the search; ``--scheduler`` overrides it.
        steps_max: an execution with more steps is reported as endless.
        early_timers_max: how often in one execution a timer may fire while operations are in flight.
        latency_bound_s: how long, in virtual seconds, an operation may be held by that.
    """
    if finds is not None and name_of(finds) not in {name_of(claim) for claim in (*always, *eventually)}:
        eventually = (*eventually, finds)
    claims = Claims(tuple(always), tuple(eventually), tuple(sometimes))
    bounds = Bounds(steps_max, early_timers_max, latency_bound_s)

    def decorate(scenario: Callable[..., Any]) -> Callable[..., None]:
        if not inspect.iscoroutinefunction(scenario):
            raise TypeError(f"@simulate() takes an async function whose first parameter is the world; got {scenario!r}")
        specification = Specification(scenario, schema, claims, finds, executions, scheduler, bounds)
        return _as_test(scenario, specification)

    return decorate


def _as_test(scenario: Callable[..., Any], specification: Specification) -> Callable[..., None]:
    signature = inspect.signature(scenario)
    first, *others = signature.parameters.values()
    request = inspect.Parameter("request", inspect.Parameter.KEYWORD_ONLY)
    has_request = any(parameter.name == "request" for parameter in others)

    @functools.wraps(scenario)
    def test(*, request: Any, **arguments: Any) -> None:
        __tracebackhide__ = True
        from simulator.pytest_simulation import run_simulation  # pytest is there when pytest calls

        if has_request:
            arguments["request"] = request
        run_simulation(request, specification, arguments)

    del test.__wrapped__  # type: ignore[attr-defined]  # or pytest would look through to the world, as a fixture
    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in others]
    test.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=parameters if has_request else [*parameters, request], return_annotation=None
    )
    setattr(test, MARK, specification)
    return test
