"""What a run prints, saves and returns."""

from __future__ import annotations

from typing import Any

import pytest


def test_a_run_ends_with_a_line_for_each_news_and_one_for_what_holds(run: Any) -> None:
    """Found, violated, missed and vacuous have names, which are those of the files; what holds is counted."""
    result = run(
        run.found
        + run.violated
        + run.holds
        + """
    @simulate(finds=never_lost)
    async def test_it_is_lost_in_one_step(world):
        await two(world, adds_at_once)

    @simulate(sometimes=[never_lost])
    async def test_it_is_lost_sometimes(world):
        await two(world, adds_at_once)
    """,
        "--executions=20",
    )
    result.assert_outcomes(passed=2, failed=3)
    assert run.summary(result) == [
        "found     an_addition_is_lost     6 steps, 1 switch",
        "violated  no_addition_is_lost     6 steps, 1 switch",
        *[line for line in run.summary(result) if line.startswith(("missed", "vacuous"))],
        "1 holds: 20 executions, sampled",
        "replay one: pytest --schedule=.turnstile/NAME.schedule",
    ]
    result.stdout.re_match_lines(
        [
            r"missed    it_is_lost_in_one_step-....  20 executions, sampled, .* s",
            r"vacuous   it_is_lost_sometimes-....    20 executions, sampled, .* s",
        ]
    )
    saved = [path.name[:-14] for path in run.schedules()]
    assert saved == ["an_addition_is_lost", "no_addition_is_lost"]
    assert {path.name for path in run.schedules()[0].parent.parent.iterdir()} == {
        ".turnstile",
        "tests",
        "tox.ini",
    }


def test_a_failing_test_shows_the_incident_and_nothing_of_the_framework(run: Any) -> None:
    """Claim, story, and the short command that replays it; the same text in the short summary's line."""
    result = run(run.violated)
    result.stdout.re_match_lines(
        [
            r"never_lost: is 1",
            r"  minimal: none of the 2 schedules with fewer switches violates it, and it needs no fault",
            r" step  lane +what +outcome",
            r"    2  +(first|second) +reads",
            r"    4  +(first|second) +reads +switch",
            r"replay: pytest --schedule=\.turnstile/no_addition_is_lost-....\.schedule$",
        ]
    )
    text = result.stdout.str()
    for word in ("Traceback", "site-packages", "exploration.py", "traceback entries", "greenlet"):
        assert word not in text


def test_missed_and_vacuous_tests_say_what_was_done(run: Any) -> None:
    """So that the reader knows whether more would help."""
    result = run(
        """
    @simulate(finds=never_lost)
    async def test_missed(world):
        await two(world, adds_at_once)

    @simulate(sometimes=[never_lost])
    async def test_unreached(world):
        await two(world, adds_at_once)

    async def alone(world):
        world.run(Operator(adds_at_once, world, name="first"))
        await world.quiesce()

    @simulate()
    async def test_alone(world):
        await alone(world)

    @simulate(sequential=True)
    async def test_alone_on_purpose(world):
        await alone(world)

    @simulate(sequential=True)
    async def test_nobody(world):
        await world.quiesce()

    @simulate(finds=never_lost)
    async def test_alone_and_found(world):
        VALUE[0] = 0
        await alone(world)
    """,
        "--executions=9",
    )
    result.assert_outcomes(passed=2, failed=4)
    result.stdout.fnmatch_lines(
        [
            "never_lost was expected to be found violated and was not: 9 executions, sampled",
            "vacuous: never_lost was never reached in 9 executions, sampled, so what held shows nothing about it.*",
            "vacuous: nothing interleaved: only first ever moved, and never while anybody else could, so what held*",
            "vacuous: nobody moved: no actor made a step in any execution, so what held shows nothing*",
        ]
    )


def test_another_failure_than_the_one_to_be_found_fails_and_says_so(run: Any) -> None:
    """With its report."""
    result = run(
        """
    def other(world):
        return "other" if VALUE[0] else None

    @simulate(finds=never_lost, always=[other])
    async def test_finds(world):
        await two(world)
    """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["expected to find never_lost violated, and found another failure first", "", "other: other"]
    )


def test_verbose_lists_what_holds(run: Any) -> None:
    """A line each, with what was done."""
    result = run(run.holds, "-v", "--executions=9")
    assert [line[:52] for line in run.summary(result)] == [
        "holds  one_step_loses_nothing  9 executions, sampled"
    ]


def test_the_number_of_executions_is_the_searchs_own_where_nobody_says(run: Any) -> None:
    """A test's number belongs to the search that it was written for; what a bounded search completed is said."""
    few = run.holds.replace("lost])", "lost], executions=3)")
    run(few).stdout.fnmatch_lines(["1 holds: 3 executions, sampled"])
    run(run.holds).stdout.fnmatch_lines(["1 holds: 100 executions, sampled"])
    run(few, "--scheduler=seeded").stdout.fnmatch_lines(["1 holds: 100 executions, sampled"])
    run(few, "--scheduler=bounded").stdout.fnmatch_lines(
        ["1 holds: 6 executions, every schedule within its bounds"]
    )
    long = """
    async def long(world):
        for number in range(30):
            await world.point(f"step {number}")

    @simulate(executions=9, scheduler="bounded")
    async def test_long(world):
        await two(world, long)
"""
    run(long).stdout.fnmatch_lines(["1 holds: 9 executions, every schedule without a deviation"])
    run(long, "--scheduler=bounded", "--executions=200").stdout.fnmatch_lines(
        ["1 holds: 200 executions, every schedule with at most 1 deviation"]
    )


def test_an_expected_failure_has_its_line_as_well(run: Any) -> None:
    """Whatever pytest makes of the test."""
    result = run("    @pytest.mark.xfail(strict=True)" + run.violated)
    result.assert_outcomes(xfailed=1)
    assert run.summary(result)[0] == "violated  no_addition_is_lost  6 steps, 1 switch"


def test_a_story_that_nobody_reads_is_not_shrunk(pytester: pytest.Pytester) -> None:
    """``shrinking=False``: found is enough; the schedule is saved as it was found."""
    pytester.makepyfile(
        """
        from simulator import Operator, World, simulate


        def nobody_was_first(world: World) -> str | None:
            return "somebody was" if getattr(world, "seen", None) == ["late", "early"] else None


        async def two(world: World) -> None:
            world.seen = []

            async def go(name: str) -> None:
                for _ in range(5):
                    await world.point("step")
                world.seen.append(name)

            world.run(Operator(go, "early", name="early"), Operator(go, "late", name="late"))
            await world.quiesce()


        test_shrunk = simulate(finds=nobody_was_first, scheduler="seeded")(two)
        test_as_found = simulate(finds=nobody_was_first, scheduler="seeded", shrinking=False)(two)
        """
    )

    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")

    result.assert_outcomes(passed=2)
    result.stdout.re_match_lines([r"found\s+shrunk-\w+\s+12 steps$"])
    result.stdout.no_re_match_line(r"found\s+as_found-\w+\s+12 steps$")
