"""What a shrinker proposes, and how a proposal is followed."""

from __future__ import annotations

from simulator.execution import Outcome
from simulator.proposals import proposals, runs_of
from simulator.schedulers.base import Lane, Options
from simulator.schedulers.replay import Wish
from simulator.trace import Trace


def outcome_of(*steps: tuple[str, str], **choices: int) -> Outcome:
    trace = Trace(steps=[(*step, 0.0) for step in steps], choices=list(choices.items()))
    return Outcome(None, trace, 0, 0, frozenset(), {}, 0)


def test_a_fault_counts_as_a_step_of_the_lane_that_it_struck() -> None:
    """It was that lane that was chosen: without the fault it would have moved."""
    outcome = outcome_of(("a", "x"), ("b", "y"), ("fault", "SIGKILL main before b: z"), ("a", "x"))
    assert runs_of(outcome) == [("a", 1), ("b", 2), ("a", 1)]


def test_proposals_begin_with_plainer_data_and_then_large_pieces() -> None:
    """Each is the recorded schedule with one thing less."""
    outcome = outcome_of(("a", "x"), ("b", "y"), ("a", "x"), ("b", "y"), size=6, crash=0)
    first = list(proposals(outcome))
    runs = [("a", 1), ("b", 1), ("a", 1), ("b", 1)]
    assert first[:3] == [({"size": size, "crash": 0}, runs) for size in (0, 3, 5)]
    assert first[3] == ({"size": 6, "crash": 0}, runs[:1])
    assert ({"size": 6, "crash": 0}, [("a", 2), ("b", 1), ("b", 1)]) in first


def test_a_wish_is_followed_as_far_as_it_can_be() -> None:
    """A lane that cannot move is skipped; after the last run whoever moved goes on."""
    wish = Wish({"size": 9}, [("gone", 3), ("b", 2), ("a", 1)])
    assert wish.choose(Options("data", 4, name="size")) == 3
    assert wish.choose(Options("data", 4, name="unknown")) == 0
    lanes = [Lane("a", "main", 0), Lane("b", "main", 1)]
    moves = [lanes[wish.choose(Options("schedule", 2, lanes=lanes, step=step))].label for step in range(5)]
    assert moves == ["b", "b", "a", "a", "a"]
