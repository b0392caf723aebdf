"""Wrong uses and bad ends: errors of one line, exit codes, Ctrl-C."""

from __future__ import annotations

from typing import Any

import pytest


def is_usage_error(result: pytest.RunResult, error: str) -> None:
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    lines = [line for line in (*result.errlines, *result.outlines) if line.startswith("ERROR: ")]
    assert len(lines) == 1
    pytest.LineMatcher(lines).fnmatch_lines([f"ERROR: {error.replace('[', '[[]')}*"])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (
            "schedule 1",
            "schedule 2",
            "x.schedule:1: expected 'turnstile schedule 1', found *another version*",
        ),
        ("writes\nend\n", "wri", "x.schedule: expected 6 steps and then 'end', found 6 lines*cut short*"),
        (
            "::test_no_",
            "::test_any_",
            "x.schedule belongs to *::test_any_*, which is not among the 1 simulations *",
        ),
        ("test: tests/test_shop.py::test_no_addition_is_lost\n", "", "x.schedule names no test: *"),
        (
            "turnstile",
            "\x00",
            "x.schedule:1: expected 'turnstile schedule 1', found *it is not a schedule file",
        ),
    ],
    ids=["version", "truncated", "test gone", "no test", "binary"],
)
def test_a_schedule_that_cannot_be_used_is_a_usage_error_of_one_line(
    run: Any, old: str, new: str, error: str
) -> None:
    """Exit code 4, no traceback."""
    is_usage_error(run(run.violated, run.saved(run.schedule.replace(old, new))), error)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            ["--schedule=gone.schedule"],
            "the schedule gone.schedule cannot be read: No such file or directory",
        ),
        (["--schedule=tests"], "the schedule tests cannot be read: Is a directory"),
        (["--executions=0"], "--executions must be at least 1; got 0"),
        (["--processes=0"], "--processes must be at least 1; got 0"),
        (["--executions=-3"], "--executions must be at least 1; got -3"),
        (
            ["--scheduler=random"],
            "--scheduler: there is no scheduler 'random'; there are: drawn, seeded, ",
        ),
    ],
)
def test_a_wrong_option_is_a_usage_error_of_one_line(run: Any, arguments: list[str], error: str) -> None:
    """Before anything is collected."""
    is_usage_error(run(run.violated, *arguments), error)


def test_the_profile_of_the_environment_is_checked(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """argparse does not look at defaults."""
    monkeypatch.setenv("TURNSTILE_PROFILE", "weekly")
    is_usage_error(
        run(run.violated), "TURNSTILE_PROFILE: there is no profile 'weekly'; there are: merge, nightly"
    )
    monkeypatch.setenv("TURNSTILE_PROFILE", "nightly")
    result = run(run.holds.replace("lost])", "lost], executions=3)"))
    result.stdout.fnmatch_lines(["1 holds: 60 executions, sampled"])


def test_a_leak_is_named_and_its_failure_can_be_seen_again(run: Any) -> None:
    """``--check-determinism`` names the first step that differs."""
    result = run(
        """
    @simulate()
    async def test_leaks(world):
        VALUE.append(0)

        async def looks():
            await world.point(f"looks at order {len(VALUE)}")

        world.run(Operator(looks, name="first"), Operator(looks, name="second"))
        await world.quiesce()
    """,
        "--check-determinism",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["Nondeterminism: step 2 was 'first: looks at order 2' at +0.000 s and then 'first: *3'*"]
    )


def test_an_error_of_the_scenario_shows_the_readers_code_and_how_to_see_it_again(run: Any) -> None:
    """No exception group, no frame of ours, and the way to its schedule."""
    result = run(
        """
    @simulate()
    async def test_breaks(world):
        await two(world)
        {}["gone"]

    @simulate()
    async def test_asks_wrongly(world):
        world.choose("size", [])

    def unsure(world):
        return True

    @simulate(eventually=[unsure])
    async def test_is_unsure(world):
        await two(world)
    """
    )
    result.assert_outcomes(failed=3)
    text = result.stdout.str()
    result.stdout.fnmatch_lines(
        [
            '>       {}["gone"]',
            "E       KeyError: 'gone'",
            "E       replay: pytest --schedule=.turnstile/breaks-*.schedule",
            "E       ValueError: world.choose('size', ...): there is nothing to choose from",
            "InvariantRaised: unsure returned True: expected a reason*",
            "replay: pytest --schedule=.turnstile/is_unsure-*.schedule",
        ]
    )
    for word in (
        "ExceptionGroup",
        "TrioInternalError",
        "conductor.py",
        "exploration.py",
        "pytest_simulation.py",
    ):
        assert word not in text


def test_without_the_plugin_the_error_says_what_is_missing(run: Any) -> None:
    """Not a key of a stash."""
    result = run(run.violated, "-p", "no:turnstile", "-p", "no:simulator.pytest_plugin")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["turnstile's pytest plugin is not loaded: *"])


def test_ctrl_c_ends_pytest_as_ever_and_saves_the_shortest_failure(
    run: Any, pytester: pytest.Pytester
) -> None:
    """Pytest's own exit code; the file is a whole schedule, and its path is printed."""
    result = run(
        """
    import signal
    RUNS = []

    def lost(world):
        if "failed" in RUNS and RUNS.count("run") > RUNS.index("failed") + 5:
            signal.raise_signal(signal.SIGINT)
        if VALUE[0] != 2:
            RUNS.append("failed")
        return never_lost(world)

    @simulate(eventually=[lost])
    async def test_no_addition_is_lost(world):
        RUNS.append("run")
        await two(world)
    """,
        apart=True,
    )
    assert result.ret == pytest.ExitCode.INTERRUPTED
    said = r"no_addition_is_lost-....: interrupted after \d+ executions; the shortest failure so far: pytest --sche.*"
    result.stdout.re_match_lines([r"=+ simulations =+", said])
    [path] = run.schedules()
    assert path.read_text().endswith("\nend\n")


def test_a_folder_that_cannot_be_written_to_is_told(run: Any, pytester: pytest.Pytester) -> None:
    """The failure is found, and where it cannot be saved is said."""
    pytester.path.joinpath("taken").write_text("")
    result = run(run.violated, "--schedules-folder=taken")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["ScheduleError: the schedule cannot be saved as *taken*.schedule: *"])
