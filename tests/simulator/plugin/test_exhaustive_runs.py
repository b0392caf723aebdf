"""What an exhaustive run prints, when it fails, and that it goes on where it was broken off."""

from __future__ import annotations

from typing import Any

from simulator.reduction.frontier import FORMAT


def test_what_holds_says_in_how_many_interleavings_and_on_what_that_rests(run: Any) -> None:
    """Two lanes of two steps have six interleavings, and in one process nothing is independent."""
    result = run(run.holds, "--scheduler=exhaustive")
    result.assert_outcomes(passed=1)
    assert run.summary(result) == ["1 holds: 6 executions, all interleavings up to equivalence"]
    result.stdout.fnmatch_lines(
        [
            "*explored exhaustively*",
            "one_step_loses_nothing-????: 6 executions, all interleavings up to equivalence",
            "  interleavings: 6 up to equivalence",
            "  actors: first, second",
            "  faults: none injected, no data chosen",
            "  bounds: 2 early timers, 10,000 steps",
            "  independence: no database; *",
        ]
    )
    assert "proved" not in result.stdout.str()


def test_the_number_of_processes_is_not_seen(run: Any) -> None:
    """It is as many as there are cores unless it is said."""
    printed = []
    for processes in (1, 3):
        result = run(run.holds, "--scheduler=exhaustive", f"--processes={processes}")
        result.assert_outcomes(passed=1)
        printed.append([line for line in result.outlines if line.startswith(("  ", "one_step"))])
    assert printed[0] == printed[1] != []


def test_a_violation_is_reported_like_any_other_and_its_schedule_replays(run: Any) -> None:
    result = run(run.violated, "--scheduler=exhaustive")
    result.assert_outcomes(failed=1)
    assert run.summary(result)[0] == "violated  no_addition_is_lost  6 steps, 1 switch"
    replayed = run.again(run.printed(result))
    replayed.assert_outcomes(failed=1)
    assert "the code has changed since" not in replayed.stdout.str()


def test_a_test_that_is_to_find_something_passes_when_it_is_found(run: Any) -> None:
    run(run.found, "--scheduler=exhaustive").assert_outcomes(passed=1)


def test_inconclusive_is_a_failure_that_says_why_and_can_be_gone_on_from(run: Any) -> None:
    result = run(run.holds, "--scheduler=exhaustive", "--executions=4")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "inconclusive: not finished after 4 executions, about * of plan 1; more of them would settle it: --executions*",
            "interleavings: 4 up to equivalence",
        ]
    )
    assert run.summary(result)[0].startswith("inconclusive  one_step_loses_nothing")
    assert [path.suffix for path in run.schedules()] == [".frontier"]
    result = run.again("--scheduler=exhaustive", "--executions=4", "--resume")
    result.assert_outcomes(passed=1)
    assert run.summary(result) == ["1 holds: 6 executions, all interleavings up to equivalence"]
    assert run.schedules() == []


def test_what_another_version_left_is_refused_by_name_and_stays(run: Any) -> None:
    run(run.holds, "--scheduler=exhaustive", "--executions=4")
    (saved,) = run.schedules()
    other = saved.read_text(encoding="utf-8").replace(FORMAT, "turnstile frontier 1")
    saved.write_text(other, encoding="utf-8")
    result = run.again("--scheduler=exhaustive", "--resume")
    result.assert_outcomes(failed=1)
    refused = f"expected a frontier of the format '{FORMAT}', found 'turnstile frontier 1'"
    result.stdout.fnmatch_lines(
        [f"FrontierError: *.frontier: {refused}; without --resume the search begins anew"]
    )
    assert saved.read_text(encoding="utf-8") == other


def test_footprints_are_validated_when_that_is_asked_for(run: Any) -> None:
    """Two points that touch different things: that they do is the scenario's word."""
    source = """
    @simulate(early_timers_max=0)
    async def test_apart(world):
        async def looks(name):
            await world.point("looks", touches=name)

        world.process("one").run(Operator(looks, "a", name="first"))
        world.process("other").run(Operator(looks, "{}", name="second"))
        await world.quiesce()
    """
    arguments = "--scheduler=exhaustive", "--validate-footprints"
    result = run(source.format("a"), *arguments)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*independent pairs of steps swapped, no difference*"])
    result = run.again("--scheduler=exhaustive")
    assert "swapped" not in result.stdout.str()
