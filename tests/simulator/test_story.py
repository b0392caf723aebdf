"""A failure as a story: what is told, what is left out, and a diagram that Mermaid can read."""

from __future__ import annotations

from datetime import UTC, datetime

from simulator.report.story import mermaid, story
from simulator.trace import Access, Trace

START = datetime(2026, 1, 8, 20, 27, 23, tzinfo=UTC)
READ = Access("SELECT v FROM t WHERE id = 1", outcome="v=1", reads=("t",))
WRITE = Access(
    "UPDATE t SET v = 2 WHERE id = 1",
    outcome="1 row",
    changed=("t 1: v 1 -> 2",),
    writes=("t",),
    transaction=1,
)
AGAIN = Access("UPDATE t SET w = 5 WHERE id = 1", outcome="1 row", writes=("t",), transaction=2)
COMMIT = Access("COMMIT", transaction=1, ends="commit")


def trace_of(*steps: tuple[str, str, float, tuple[Access, ...]]) -> Trace:
    """A detailed trace."""
    trace = Trace(detailed=True, steps=[(lane, point, at_s) for lane, point, at_s, _ in steps])
    trace.accesses = {index: list(accesses) for index, (*_, accesses) in enumerate(steps) if accesses}
    trace.processes = {"webhook#1": "api", "sweep": "bot"}
    trace.violated_at = len(steps)
    return trace


LOST_UPDATE = trace_of(
    ("webhook#1", "starts", 0.0, ()),
    ("webhook#1", "SELECT t", 0.0, (READ,)),
    ("sweep", "SELECT t", 5.0, (READ,)),
    ("sweep", "UPDATE t", 5.0, (WRITE,)),
    ("sweep", "COMMIT t", 5.0, (COMMIT,)),
    ("webhook#1", "UPDATE t", 5.0, (WRITE,)),
    ("fault", "crash api before webhook#1: COMMIT t", 5.0, ()),
    ("webhook#1", "COMMIT t", 5.0, (COMMIT,)),
)


def test_each_beat_is_a_line_and_time_is_told_where_it_moves() -> None:
    """Who did what, and what came of it."""
    lines = story(LOST_UPDATE, START).lines()

    assert lines[0] == "2026-01-08 20:27:23 UTC  webhook#1: SELECT t WHERE id = 1 -> v=1"
    assert lines[1] == "20:27:28 (+5 s)  sweep: UPDATE t WHERE id = 1 -> 1: v 1 -> 2"
    assert "webhook#1: UPDATE t WHERE id = 1 -> 1: v 1 -> 2" in lines
    assert "FAULT: crash api before webhook#1: COMMIT t" in lines


def test_a_write_that_changed_nothing_is_left_out() -> None:
    """It found the row as it would have it; a story is about what changed."""
    trace = trace_of(
        ("webhook#1", "UPDATE t", 0.0, (AGAIN,)),
        ("sweep", "UPDATE t", 0.0, (WRITE,)),
        ("sweep", "COMMIT t", 0.0, (COMMIT,)),
    )

    told = "\n".join(story(trace, START).lines())

    assert "v 1 -> 2" in told
    assert "webhook#1" not in told


def test_a_long_story_is_cut_and_says_how_much() -> None:
    """The dullest beats go; the last one, where the claim was violated, stays."""
    steps = [("sweep", "UPDATE t", float(second), (WRITE,)) for second in range(60)]
    told = story(trace_of(*steps), START, beats_max=8)

    lines = told.lines()
    assert len(lines) <= 8
    assert any("more steps of sweep" in line for line in lines)
    assert lines[-1].startswith("20:28:22")


def test_an_execution_in_which_nothing_was_written_has_a_story() -> None:
    """A claim may be violated by what did not happen."""
    told = story(trace_of(("sweep", "starts", 0.0, ())), None)

    assert told.lines() == ["+0 s  sweep: starts"]
    assert told.conflict == ""


def test_the_diagram_names_lanes_with_their_processes() -> None:
    """And keeps from it what Mermaid would read as its own: semicolons, hashes, arrows, markup."""
    odd = Access("UPDATE t SET a = ?", changed=("t 1: a 'x;y#z <b>' -> 'c'",), writes=("t",), transaction=3)
    trace = trace_of(("webhook#1", "UPDATE t", 0.0, (odd,)), ("sweep", "UPDATE t", 0.0, (WRITE,)))

    drawn = mermaid(story(trace, START), "v_is_right; always")

    assert drawn.startswith(
        "sequenceDiagram\n    participant L0 as webhook 1 (api)\n    participant L1 as sweep (bot)"
    )
    assert "L1->>W: UPDATE t: 1: v 1 to 2" in drawn
    assert "violated: v_is_right, always" in drawn
    assert not any(mark in line for line in drawn.splitlines() for mark in (";", "#", "<"))
