"""`python -m scenarios.ablations`, and what it rests on: taking away just that, and putting it back."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from reference import policies
from reference.storage.schema import metadata
from scenarios.ablations.__main__ import main
from scenarios.ablations.ablation import Ablation, run
from scenarios.ablations.registry import named
from scenarios.ablations.tables import keys, without_keys
from scenarios.flows.purchases import one_payment, the_wrong_amount

KILLED_AT_ONCE = "amount_is_compared"
KILLED_LATER = "settled_once"


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """The command turns logging off, for a process that ends with it."""
    before = logging.root.manager.disable
    yield
    logging.disable(before)


def test_what_is_killed_is_told_with_the_claim_and_the_executions(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 0."""
    assert main([KILLED_AT_ONCE]) == 0

    told = capsys.readouterr().out
    assert f"killed    {KILLED_AT_ONCE}" in told
    assert "by money_in_is_granted_or_refunded" in told
    assert "1 of 1 killed" in told


def test_a_survivor_is_named_and_fails_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    """One execution, the dullest of all, is too few for a race."""
    assert main([KILLED_LATER, "--executions", "1"]) == 1

    told = capsys.readouterr().out
    assert f"SURVIVES  {KILLED_LATER}" in told
    assert "0 of 1 killed" in told


def test_a_program_gets_a_list(capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing else."""
    main([KILLED_AT_ONCE, "--json"])

    [found] = json.loads(capsys.readouterr().out)
    assert found["killed"] is True
    assert (found["name"], found["claim"]) == (KILLED_AT_ONCE, "money_in_is_granted_or_refunded")
    assert found["executions"] >= 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["no_such_guard"], "there is no ablation no_such_guard"),
        (["--executions", "0"], "--executions must be at least 1; got 0"),
        ([KILLED_AT_ONCE, "--write", "docs"], "leave the names out"),
    ],
)
def test_a_wrong_command_line_says_what_is_wrong(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2, as argparse has it."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def test_the_list_runs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """A name and a sentence each."""
    assert main(["--list"]) == 0

    assert len(capsys.readouterr().out.splitlines()) == len(named([]))


def test_the_guard_stands_again_afterwards() -> None:
    """Also when its absence has ended the run with a failure."""
    guard = policies.amount_mismatch
    [ablation] = named([KILLED_AT_ONCE])

    assert run(ablation).noticed
    assert policies.amount_mismatch is guard


def test_a_claim_that_is_not_the_named_one_is_no_kill() -> None:
    """Otherwise an ablation that breaks the scenario's own set-up would pass for a proof."""
    ablation = Ablation(
        name="another_claim",
        guard="the amount is compared",
        where="reference/policies.py:amount_mismatch",
        scenario=the_wrong_amount,
        claim="one_subscription_per_user",
        changes=[(policies, "amount_mismatch", lambda _payment, _remote: None)],
    )

    assert not run(ablation).noticed


def test_an_ablation_of_nothing_is_refused() -> None:
    """Its scenario would hold, or be wrong by itself."""
    with pytest.raises(ValueError, match="takes nothing away"):
        Ablation(name="nothing", guard="", where="", scenario=one_payment, claim="one_subscription_per_user")


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_tables_without_a_key_lack_that_key_and_what_points_to_it(engine: str) -> None:
    """Everything else stays."""
    whole, less = without_keys(metadata)(engine), without_keys(metadata, "pk_inbox")(engine)

    assert "CONSTRAINT pk_inbox" in whole
    assert "CONSTRAINT pk_inbox" not in less
    assert [line for line in whole.splitlines() if line not in less.splitlines()] != []
    assert less.count("CONSTRAINT") == whole.count("CONSTRAINT") - 1
    assert "fk_reminders" not in without_keys(metadata, "uq_session_claims_deal_id_kind_generation")(engine)


def test_an_unknown_key_is_named() -> None:
    """A key that was renamed must not pass for one that was taken away."""
    with pytest.raises(LookupError, match="no key 'pk_nothing'"):
        without_keys(metadata, "pk_nothing")
    assert "pk_inbox" in keys(metadata)
