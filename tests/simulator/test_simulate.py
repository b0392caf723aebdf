"""The decorator: what it takes, and what it says to those who use it wrongly. What tests do is in test_pytest_plugin."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from simulator import World, simulate
from simulator.errors import UnknownScheduler
from simulator.simulate import MARK


async def scenario(world: World) -> None:
    """A scenario."""


def paid_once(_world: World) -> str | None:
    """A claim."""
    return None


def test_a_scenario_becomes_a_plain_function_with_its_name_and_docstring() -> None:
    """pytest-trio must not take it for an async test, and a reader of reports wants its words."""
    test = simulate()(scenario)
    assert not inspect.iscoroutinefunction(test)
    assert (test.__name__, test.__doc__) == ("scenario", "A scenario.")


def test_pytest_fills_every_parameter_but_the_world() -> None:
    """By name, with what is asked for only because we need it."""

    async def test(world: World, shop: str, *, request: Any) -> None:
        """Asks for a fixture, and for the request itself."""

    assert list(inspect.signature(simulate()(test)).parameters) == ["shop", "request"]
    assert list(inspect.signature(simulate()(scenario)).parameters) == ["request"]


def test_what_is_found_is_a_claim_without_being_said_twice() -> None:
    """``finds`` is checked at the end unless the test says when."""
    claims = getattr(simulate(finds=paid_once)(scenario), MARK).claims
    assert (claims.always, claims.eventually) == ((), (paid_once,))
    claims = getattr(simulate(always=[paid_once], finds=paid_once)(scenario), MARK).claims
    assert (claims.always, claims.eventually) == ((paid_once,), ())


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"always": paid_once}, TypeError, "always= takes a list of claims; got <function paid_once"),
        ({"eventually": "paid_once"}, TypeError, "eventually= takes a list of claims; got 'paid_once'"),
        ({"sometimes": ["paid_once"]}, TypeError, "a claim is a function of the world"),
        ({"finds": "paid_once"}, TypeError, "a claim is a function of the world"),
        ({"executions": 0}, ValueError, "executions must be at least 1; got 0"),
        ({"scheduler": "random"}, UnknownScheduler, "there is no scheduler 'random'; there are: drawn"),
    ],
)
def test_a_wrong_argument_is_told_where_it_stands(arguments: Any, error: Any, words: str) -> None:
    """When the module is imported, not in the middle of a run."""
    with pytest.raises(error, match=words):
        simulate(**arguments)


def test_two_claims_of_one_name_are_told() -> None:
    """A report could not say which one was violated."""

    def other(_world: World) -> str | None:
        """Has another's name."""
        return None

    other.__name__ = "paid_once"
    with pytest.raises(ValueError, match="two claims are called paid_once"):
        simulate(always=[paid_once], eventually=[other])
    simulate(always=[paid_once], eventually=[paid_once])  # the same one, asked twice


async def of_nothing() -> None:
    """Is used below."""


async def of_any(world: World, *arguments: str) -> None:
    """Is used below."""


@pytest.mark.parametrize(
    ("misuse", "words"),
    [
        (lambda: simulate(scenario), "@simulate needs parentheses"),
        (
            lambda: simulate()(paid_once),
            "takes an async function whose first parameter is the world; got <function",
        ),
        (lambda: simulate()(of_nothing), r"has no parameter for the world: async def .*\(world\)"),
        (lambda: simulate()(of_any), "pytest fills parameters by name"),
        (lambda: simulate()(type("Test", (), {})), "takes an async function"),  # type: ignore[arg-type]
    ],
    ids=["no parentheses", "not async", "no world", "any arguments", "a class"],
)
def test_what_is_no_scenario_is_told(misuse: Any, words: str) -> None:
    """With what it should look like."""
    with pytest.raises(TypeError, match=words):
        misuse()
