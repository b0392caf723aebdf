"""A search that was broken off goes on where it stood, and ends where it would have ended."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from simulator import Bounds, Claims, Crash, World, explore
from simulator.errors import FrontierError
from simulator.exploration import Exploration, Interrupted
from simulator.reduction.frontier import FORMAT
from simulator.schedulers.base import Limits
from tests.simulator.exhaustive.brute_force import Small, of_programs
from tests.simulator.exhaustive.litmus import LITMUS


class Kept:
    """Keeps a frontier in memory."""

    def __init__(self, text: str = "") -> None:
        self.text = text

    def load(self) -> str:
        return self.text

    def save(self, text: str) -> None:
        self.text = text


def explored(small: Small, ends: Counter[Any], frontier: Kept, executions: int) -> Exploration:
    async def scenario(world: World) -> None:
        await small.scenario(world)
        ends[small.look(world)] += 1

    return explore(
        scenario,
        claims=Claims(),
        database=small.database,
        scheduler="exhaustive",
        limits=Limits(executions),
        bounds=Bounds(early_timers_max=0),
        frontier=frontier,
    )


def world() -> Small:
    """Two lost updates and a crash, with some dozens of classes."""
    return of_programs(*LITMUS["lost update"], faults=[Crash("p0", None)])


def test_piece_by_piece_it_comes_to_the_same() -> None:
    """Three executions a time; each first run is the probe and one more."""
    whole: Counter[Any] = Counter()
    pieces: Counter[Any] = Counter()
    at_once = explored(world(), whole, Kept(), 10_000)
    frontier, runs = Kept(), 0
    while True:
        result = explored(world(), pieces, frontier, 3)
        runs += 1
        if result.verdict == "holds":
            break
        assert frontier.text
    assert frontier.text == ""
    assert runs == -(-at_once.executions // 3)
    assert (result.executions, result.details) == (at_once.executions, at_once.details)
    assert set(pieces) == set(whole)
    assert sum(pieces.values()) - runs == sum(whole.values()) - 1  # but for a probe each


def test_ctrl_c_keeps_the_frontier_and_tells_what_was_explored() -> None:
    ends: Counter[Any] = Counter()
    small, frontier = world(), Kept()
    look, count = small.look, [0]

    def impatient(world: World) -> Any:
        count[0] += 1
        if count[0] == 5:
            raise KeyboardInterrupt
        return look(world)

    small.look = impatient
    with pytest.raises(Interrupted) as interrupted:
        explored(small, ends, frontier, 10_000)
    assert interrupted.value.details[0].startswith("inconclusive: not finished after 3 executions, about ")
    small.look = look
    result = explored(small, ends, frontier, 10_000)
    assert result.verdict == "holds"
    assert result.executions == explored(world(), Counter(), Kept(), 10_000).executions


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"format": "turnstile frontier 0"}',
        '{"format": "turnstile',
        f'{{"format": "{FORMAT}", "effects": [], "stack": [], "then": [], "rest": {{"plans": []}}}}',
    ],
)
def test_what_is_no_frontier_is_refused(text: str) -> None:
    """An empty one begins anew."""
    if not text:
        assert explored(world(), Counter(), Kept(text), 10_000).verdict == "holds"
        return
    with pytest.raises(FrontierError, match="frontier"):
        explored(world(), Counter(), Kept(text), 10_000)
