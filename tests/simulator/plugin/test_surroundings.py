"""Beside other plugins: pytest-trio, xdist, Hypothesis; and all that pytest fills in."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize("ini", ["trio_mode = true", ""])
def test_it_works_beside_pytest_trio_whatever_its_mode(run: Any, ini: str) -> None:
    """An async test of the same module is pytest-trio's."""
    result = run(
        run.found
        + """
    @pytest.mark.trio
    async def test_plain():
        import trio
        await trio.sleep(0)

    @simulate()
    @pytest.mark.parametrize("times", [1])
    async def test_with_a_mark_inside(world, times):
        await two(world)
    """,
        ini=ini,
    )
    result.assert_outcomes(passed=3)


def test_parameters_fixtures_and_the_request_are_filled_by_pytest(run: Any) -> None:
    """Once for all executions of a test; a method has its instance."""
    result = run(
        """
    @pytest.fixture
    def started():
        VALUE.append("started")
        return VALUE.count("started")

    @pytest.mark.parametrize("program", [adds, adds_at_once], ids=["two steps", "one"])
    @simulate(executions=5)
    async def test_parameters(world, program, started, request, tmp_path):
        assert request.node.name in {"test_parameters[two steps]", "test_parameters[one]"}
        assert tmp_path.exists()
        assert VALUE.count("started") == started
        await two(world, program)

    class TestShop:
        program = staticmethod(adds)

        @simulate(finds=never_lost)
        async def test_method(self, world, started):
            await two(world, self.program)

        @pytest.mark.parametrize("number", [1, 2])
        @simulate(executions=5)
        async def test_more(self, world, number):
            assert isinstance(self, TestShop)
            await two(world)
    """
    )
    result.assert_outcomes(passed=5)
    assert "found  method  6 steps, 1 switch" in run.summary(result)


def test_workers_of_xdist_send_their_lines(run: Any) -> None:
    """And save their files."""
    result = run(run.found + run.violated + run.holds, "-n", "2", "--executions=20", apart=True)
    result.assert_outcomes(passed=2, failed=1)
    assert sorted(run.summary(result)) == [
        "1 holds: 20 executions, sampled",
        "found     an_addition_is_lost  6 steps, 1 switch",
        "replay one: pytest --schedule=.turnstile/NAME.schedule",
        "violated  no_addition_is_lost  6 steps, 1 switch",
    ]


def test_a_replay_needs_no_workers(run: Any) -> None:
    """Where they are asked for all the same, it runs without, and a wrong schedule is told as ever."""
    option = run.saved(run.schedule)
    result = run(run.violated, option, "-n", "2", apart=True)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["never_lost: is 1"])
    run.saved(run.schedule.replace("test_no_", "test_any_"))
    assert run.again(option, "-n", "2", apart=True).ret == pytest.ExitCode.USAGE_ERROR


def test_the_same_seed_finds_the_same_beside_other_tests_and_alone(run: Any) -> None:
    """What other tests and Hypothesis's plugin do is nothing to a simulation."""
    texts = []
    others = """
    from hypothesis import given, settings, strategies as st

    @given(st.integers(0, 7))
    @settings(database=None)
    def test_given(number):
        assert number < 77777
    """
    for source, arguments in (
        (run.found, []),
        (others + run.found, ["--hypothesis-seed=5", "--hypothesis-profile=ci"]),
    ):
        run(source, "--seed=3", *arguments).assert_outcomes(passed=1 + (source != run.found))
        [path] = run.schedules()
        texts.append(path.read_text())
    assert texts[0] == texts[1]
