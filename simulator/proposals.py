"""Simpler schedules than a recorded one: the same story with one thing less, the most promising first.

A schedule is seen as runs, each of one lane; two runs of one lane are joined by pulling the later one forward or
pushing the earlier one back. Whether a proposal can be followed at all is for its execution to find out.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING

from simulator.schedule import Step

if TYPE_CHECKING:
    from simulator.execution import Outcome

Runs = list[tuple[str, int]]
Proposal = tuple[dict[str, int], Runs]


def proposals(outcome: Outcome) -> Iterator[Proposal]:
    """Data and faults first, then large pieces of the schedule, then small ones."""
    choices = dict(outcome.trace.choices)
    runs = runs_of(outcome)
    for name, value in choices.items():
        for simpler in sorted({0, value // 2, value - 1}):
            if 0 <= simpler < value:
                yield {**choices, name: simpler}, runs
    for shorter in _without_much(runs):
        yield choices, shorter
    for lane in dict.fromkeys(lane for lane, _ in runs):  # it moves when all is over, if it does
        yield choices, [run for run in runs if run[0] != lane]
    for joined in _joined(runs):
        yield choices, joined
    for at in range(len(runs)):
        yield choices, runs[:at] + runs[at + 1 :]
    for at, (lane, count) in enumerate(runs):
        if count > 1:
            yield choices, [*runs[:at], (lane, count // 2), *runs[at + 1 :]]
    for at, (lane, count) in enumerate(runs):
        if count > 2:  # the switch after it comes a step earlier
            yield choices, [*runs[:at], (lane, count - 1), *runs[at + 1 :]]


def runs_of(outcome: Outcome) -> Runs:
    """Lanes with the number of their steps; a fault counts as a step of the lane that it struck, which was chosen."""
    chosen = [Step(lane, point).chosen for lane, point, _ in outcome.trace.steps]
    return [(lane, sum(1 for _ in group)) for lane, group in groupby(chosen)]


def _without_much(runs: Runs) -> Iterator[Runs]:
    """Nothing after a prefix, then without a piece in the middle, halving the size."""
    size = len(runs)
    for kept in (size // 4, size // 2, 3 * size // 4):
        yield runs[:kept]
    piece = size // 2
    while piece > 1:
        for at in range(0, size, piece):
            yield runs[:at] + runs[at + piece :]
        piece //= 2


def _joined(runs: Runs) -> Iterator[Runs]:
    for at, (lane, count) in enumerate(runs):
        later = next((index for index in range(at + 1, len(runs)) if runs[index][0] == lane), None)
        if later is None:
            continue
        together = (lane, count + runs[later][1])
        yield [
            *runs[:at],
            together,
            *runs[at + 1 : later],
            *runs[later + 1 :],
        ]  # the later one pulled forward
        yield [*runs[:at], *runs[at + 1 : later], together, *runs[later + 1 :]]  # this one pushed back
