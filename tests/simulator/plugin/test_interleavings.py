"""What a run says about what it has seen, and a test without any claim, through pytest as users run it."""

from __future__ import annotations

import json
from typing import Any

import pytest

SERIAL = """
    from simulator import serializable

    BALANCE = "CREATE TABLE balances (id INTEGER, amount INTEGER); INSERT INTO balances VALUES (1, 100)"

    async def add(world, amount):
        async with world.database.connection(isolation_level=None) as db:
            async with db.execute("SELECT amount FROM balances WHERE id = 1") as found:
                (balance,) = await found.fetchone()
            await db.execute("UPDATE balances SET amount = ? WHERE id = 1", (balance + amount,))

    @simulate(schema=BALANCE, eventually=[serializable()])
    async def test_nothing_is_claimed(world):
        world.process("api").run(Operator(add, world, 10, name="ten"))
        world.process("bot").run(Operator(add, world, 1, name="one"))
        await world.quiesce()
"""


def test_interleavings_are_printed_and_saved_beside_the_schedules(run: Any) -> None:
    """One line for all of them, one for each with -v, and a file that names the test."""
    result = run(run.holds, "--executions=20", "--interleavings", "--scheduler=seeded")
    result.assert_outcomes(passed=1)
    told = [line for line in run.summary(result) if line.startswith("interleavings: ")]
    assert len(told) == 1
    assert "in both orders; the others are in .turnstile/NAME.interleavings.json" in told[0]

    [saved] = [path for path in run.schedules() if path.name.endswith(".interleavings.json")]
    data = json.loads(saved.read_text(encoding="utf-8"))
    assert (data["format"], data["executions"]) == ("turnstile coverage 1", 20)
    assert "::test_" in data["test"]


def test_without_the_option_nothing_is_said_or_saved(run: Any) -> None:
    """As before."""
    result = run(run.holds, "--executions=20", "--scheduler=seeded")
    result.assert_outcomes(passed=1)
    assert not [line for line in run.summary(result) if "interleavings" in line]
    with pytest.raises(FileNotFoundError):
        run.schedules()


def test_a_test_without_a_claim_tells_the_anomaly_by_name(run: Any) -> None:
    """The incident report is the one of any claim, and the replay shows it again."""
    result = run(SERIAL)
    result.assert_outcomes(failed=1)
    result.stdout.re_match_lines(
        [
            r"serializable: lost update: balances 1: amount is 1(01|10), not 111; serial orders give 1 other final state",
            r"  minimal: none of the 2 schedules with fewer switches violates it, and it needs no fault",
        ]
    )


def test_what_a_sampler_promises_is_printed(run: Any) -> None:
    """The floor of pct, for each depth, with the number of executions that it is about; not called a proof."""
    result = run(run.holds, "--executions=30", "--scheduler=pct")
    result.assert_outcomes(passed=1)
    [told] = [line for line in run.summary(result) if "a race is met with at least" in line]
    assert told.startswith("one_step_loses_nothing: a race is met with at least, by depth, 1: 1 in ")
    assert told.count("(10 executions)") == 3
    assert "exhaustively" not in result.stdout.str()
