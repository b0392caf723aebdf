"""The lines at the end of a run: short, aligned, and each name is the name of a schedule's file."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simulator.execution import Outcome
from simulator.exploration import Exploration
from simulator.oracles import Failure
from simulator.report import Line, line_of, short_name, summary_lines
from simulator.trace import Trace

HELD = Exploration(
    failure=None,
    outcome=None,
    schedule=None,
    executions=100,
    shrunk_in=0,
    minimal="",
    claim="100 executions, sampled",
    scope="sampled",
    exhaustive=False,
    unreached=(),
    seconds=1.234,
)


def failed(*, steps: int, preemptions: int = 0, faults: int = 0) -> Exploration:
    failure = Failure("paid_once", "twice")
    trace = Trace(steps=[("a", "x", 0.0)] * steps)
    return replace(
        HELD, failure=failure, outcome=Outcome(failure, trace, preemptions, faults, frozenset(), {}, 0)
    )


def shown(*lines: Line, width: int = 80, verbose: bool = False) -> list[str]:
    return summary_lines(lines, width=width, verbose=verbose, folder=".turnstile")


def test_news_have_a_line_each_and_what_holds_is_counted() -> None:
    """The verdict, the name of the file, the size of the story; nothing is said of what there is none of."""
    lines = [
        line_of("found", "extends_twice-224", failed(steps=47, preemptions=1)),
        line_of("holds", "a", HELD),
        line_of("violated", "pays", failed(steps=9, preemptions=2, faults=1)),
        line_of("holds", "b", HELD),
        line_of("vacuous", "c", HELD),
    ]
    assert shown(*lines) == [
        "found     extends_twice-224  47 steps, 1 switch",
        "violated  pays               9 steps, 2 switches, 1 fault",
        "vacuous   c                  100 executions, sampled, 1.2 s",
        "2 hold: 200 executions, sampled",
        "replay one: pytest --schedule=.turnstile/NAME.schedule",
    ]


def test_what_was_sampled_and_what_was_enumerated_are_not_added_up() -> None:
    """A completed bound is a claim of its own."""
    bound = replace(HELD, executions=1_500, scope="every schedule with at most 1 deviation")
    assert shown(line_of("holds", "a", HELD), line_of("holds", "b", bound)) == [
        "1 holds: 100 executions, sampled",
        "1 holds: 1,500 executions, every schedule with at most 1 deviation",
    ]


def test_verbose_lists_what_holds() -> None:
    """Then each has its line, and nothing is counted."""
    assert shown(line_of("holds", "a", HELD), verbose=True) == ["holds  a  100 executions, sampled, 1.2 s"]


def test_a_line_that_is_too_long_for_the_terminal_loses_its_column_first_and_is_broken_then() -> None:
    """The name stays whole, because it is copied."""
    long = line_of("found", "x" * 50, failed(steps=47, preemptions=1))
    short = line_of("found", "y" * 40, failed(steps=47, preemptions=1))
    assert shown(long, short, width=72)[:3] == [
        f"found  {'x' * 50}",
        "       47 steps, 1 switch",
        f"found  {'y' * 40}  47 steps, 1 switch",
    ]


def test_a_line_survives_the_way_from_another_process() -> None:
    """Workers of pytest-xdist send text."""
    line = line_of("found", "a", failed(steps=1))
    assert Line.from_text(line.as_text()) == line


@pytest.mark.parametrize(
    ("test", "name"),
    [
        ("tests/test_a.py::test_pays_once", "pays_once-"),
        ("tests/test_a.py::TestShop::test_pays_once[p-1]", "pays_once-p-1-"),
        (
            "a.py::test_as_deployed_the_pair_extends_twice[before_v2_4_10-webhook_and_polling]",
            "as_deployed-before_v2_4_10-webhook_and_polling-",
        ),
        (
            "a.py::test_as_deployed_the_pair_extends_twice[before_v2_4_10-webhook_and_background]",
            "as_deployed-before_v2_4_10-webhook..background-",
        ),
        ("a.py::test_x[../../etc/passwd :: \u00e9]", "x-etc-passwd-"),
    ],
)
def test_a_name_is_readable_short_and_a_file_name_everywhere(test: str, name: str) -> None:
    """What tells parametrized tests apart is kept rather than the words of their function."""
    short = short_name(test)
    assert short[:-4] == name
    assert len(short) <= 51


def test_namesakes_in_two_files_have_two_names() -> None:
    """Four digits of the whole test id end each name."""
    assert short_name("a.py::test_x") != short_name("b.py::test_x")
