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
from simulator.schedulers import search_named

MARK = "_turnstile_simulation"
ENGINES = ("sqlite", "postgresql")


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
        sequential: whether it is meant that nobody can come between anybody.
        engines: the databases that its claims are about.
        shrinking: whether a failure is made as short as it can be.
    """

    scenario: Callable[..., Any]
    schema: Schema | None
    claims: Claims
    finds: Claim | None
    executions: int | None
    scheduler: str | None
    bounds: Bounds
    sequential: bool = False
    engines: tuple[str, ...] = ENGINES
    shrinking: bool = True


def simulate(
    misused: object = None,
    /,
    *,
    schema: Schema | None = None,
    always: Sequence[Claim] = (),
    eventually: Sequence[Claim] = (),
    sometimes: Sequence[Claim] = (),
    finds: Claim | None = None,
    executions: int | None = None,
    scheduler: str | None = None,
    sequential: bool = False,
    engines: Sequence[str] = ENGINES,
    shrinking: bool = True,
    steps_max: int = 10_000,
    early_timers_max: int = 2,
    latency_bound_s: float = 30.0,
) -> Callable[[Callable[..., Any]], Callable[..., None]]:
    """Makes a pytest test of a scenario, a function or a method of a test class.

    The scenario is an async function whose first parameter (after ``self``) is the world; its other parameters are
    filled by pytest (``parametrize``, fixtures), once for all executions.

    The test passes when no execution violates a claim, and fails with an incident report when one does. With ``finds``
    it is the other way round. A test whose claims held for want of anything that could have broken them fails as
    vacuous: when nobody made a step, when a ``sometimes`` was never reached, and when *nothing interleaved*: no
    execution had two lanes that could move at one time, a fault, or a choice of data, so that one ordinary run would
    have shown as much.

    Args:
        misused: catches ``@simulate`` without parentheses.
        schema: its tables: SQL, SQLAlchemy ``MetaData``, or a function of the engine's name that returns one of them.
        always: claims that hold after every commit.
        eventually: claims that hold when nothing moves any more.
        sometimes: claims of which each must be reached in at least one execution, or the test fails as vacuous.
        finds: a claim that must be found violated: the test passes when it is, and fails when it is not, or when
            another one is violated first.
        executions: how many, in the default profile, with the test's own scheduler; ``--executions`` overrides it.
        scheduler: the search; ``--scheduler`` overrides it.
        sequential: that nothing interleaves is meant: the test does not fail as vacuous for that.
        engines: the databases that the claims are about, where it is not both; on another the test is skipped.
        shrinking: whether a failure is made as short as it can be; without, a test with ``finds`` whose story nobody reads is
            over as soon as it is found.
        steps_max: an execution with more steps is reported as endless.
        early_timers_max: how often in one execution a timer may fire while operations are in flight.
        latency_bound_s: how long, in virtual seconds, an operation may be held by that.

    Raises:
        TypeError: it decorates what is no scenario, or a list of claims is none.
        ValueError: a number or a name is out of range, or two claims have one name.
    """
    if misused is not None:
        raise TypeError("@simulate needs parentheses: @simulate() or @simulate(always=[...])")
    for name, claims_of in (("always", always), ("eventually", eventually), ("sometimes", sometimes)):
        _check_claims(name, claims_of)
    if executions is not None and executions < 1:
        raise ValueError(f"executions must be at least 1; got {executions}")
    if scheduler is not None:
        search_named(scheduler, length=2)
    if isinstance(engines, str) or not engines or not set(engines) <= set(ENGINES):
        raise ValueError(f"engines= takes a list of {' and '.join(ENGINES)}; got {engines!r}")
    if finds is not None and name_of(finds) not in {name_of(claim) for claim in (*always, *eventually)}:
        eventually = (*eventually, finds)
    claims = Claims(tuple(always), tuple(eventually), tuple(sometimes))
    _check_names(claims)
    bounds = Bounds(steps_max, early_timers_max, latency_bound_s)

    def decorate(scenario: Callable[..., Any]) -> Callable[..., None]:
        specification = Specification(
            scenario,
            schema,
            claims,
            finds,
            executions,
            scheduler,
            bounds,
            sequential,
            tuple(engines),
            shrinking,
        )
        return _as_test(scenario, specification)

    return decorate


def specification_of(test: Callable[..., Any]) -> Specification:
    """What a decorated test asked for, for whoever runs it without pytest.

    Raises:
        TypeError: it is not decorated.
    """
    specification = getattr(test, MARK, None)
    if not isinstance(specification, Specification):
        raise TypeError(f"{test!r} is not decorated with @simulate(...)")
    return specification


def _check_claims(name: str, claims: Sequence[Claim]) -> None:
    if isinstance(claims, str) or not isinstance(claims, Sequence):
        raise TypeError(f"{name}= takes a list of claims; got {claims!r}")
    for claim in claims:
        name_of(claim)  # says what is no claim


def _check_names(claims: Claims) -> None:
    """Reports, ``finds`` and schedules tell claims apart by name."""
    known: dict[str, Claim] = {}
    for claim in (*claims.always, *claims.eventually):
        if known.setdefault(name_of(claim), claim) is not claim:
            raise ValueError(
                f"two claims are called {name_of(claim)}: reports and finds= tell them apart by name"
            )


def _as_test(scenario: Callable[..., Any], specification: Specification) -> Callable[..., None]:
    if not inspect.iscoroutinefunction(scenario):
        raise TypeError(
            f"@simulate() takes an async function whose first parameter is the world; got {scenario!r}"
        )
    signature = inspect.signature(scenario)
    parameters = list(signature.parameters.values())
    instance = parameters[:1] if parameters and parameters[0].name == "self" else []
    others = parameters[len(instance) + 1 :]
    if len(parameters) == len(instance):
        raise TypeError(
            f"{scenario.__qualname__} has no parameter for the world: async def {scenario.__name__}(world)"
        )
    if any(parameter.kind not in _FILLED_BY_NAME for parameter in others):
        raise TypeError(
            f"{scenario.__qualname__}{signature}: pytest fills parameters by name, so they need to have one"
        )
    has_request = any(parameter.name == "request" for parameter in others)

    @functools.wraps(scenario)
    def test(*instance: Any, request: Any, **arguments: Any) -> None:
        __tracebackhide__ = True
        from simulator.pytest_simulation import run_simulation  # pytest is there when pytest calls

        if has_request:
            arguments["request"] = request
        run_simulation(request, specification, instance, arguments)

    by_name = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in others]
    if not has_request:
        by_name.append(inspect.Parameter("request", inspect.Parameter.KEYWORD_ONLY))
    test.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*instance, *by_name], return_annotation=None
    )
    setattr(test, MARK, specification)
    return test


_FILLED_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
