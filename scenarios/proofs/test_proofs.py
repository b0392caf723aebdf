"""Some of the proofs at each run of the scenarios, and that none of them is vacuous; `tox -e proofs` has them all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scenarios.proofs.__main__ import main
from scenarios.proofs.flow import Flow
from scenarios.proofs.proving import LAST_RUN, longest_first, prove, without_its_guard
from scenarios.proofs.registry import ALL, FLOWS, named
from scenarios.proofs.table import page

PAGE = Path(__file__).parent.parent.parent / "docs" / "proofs.md"
QUICK = ("extension/sweep+ensure", "tickets/bot+scheduler")


@pytest.mark.parametrize("name", QUICK)
def test_it_holds_in_every_interleaving(name: str) -> None:
    """With a crash of either process before any of its steps."""
    (proof,) = named([name])

    proved = prove(proof)

    assert (proved.verdict, proved.why) == ("holds", "")
    assert proved.interleavings > 1


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_without_its_guard_it_is_violated(flow: Flow) -> None:
    """By the claim that is named: the same search, among the same paths."""
    found = without_its_guard(flow)

    assert found.verdict == "violated"
    assert found.failure is not None
    assert found.failure.name == flow.caught_by


def test_a_proof_that_is_given_up_is_inconclusive() -> None:
    """It says how far it came, and does not hold."""
    (proof,) = named(["purchase/webhook+polling"])

    proved = prove(proof, seconds=1e-6)

    assert proved.verdict == "inconclusive"
    assert proved.why.startswith("not finished after no execution")


def test_the_command_says_that_not_all_hold(capsys: pytest.CaptureFixture[str]) -> None:
    """In its exit status as well."""
    assert main(["purchase/webhook+polling", "--seconds", "0.000001"]) == 1
    assert "0 of 1 hold" in capsys.readouterr().out


def test_a_name_that_nobody_knows_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Naming those that there are."""
    with pytest.raises(SystemExit):
        main(["no_such_proof"])
    assert "there is no proof no_such_proof; there are: purchase/webhook+polling" in capsys.readouterr().err


def test_what_took_longest_is_begun_first() -> None:
    """By the last complete run; what is new comes last."""
    rows = json.loads(LAST_RUN.read_text(encoding="utf-8"))
    seconds = [rows[proof.name]["seconds"] for proof in longest_first(ALL)]

    assert seconds == sorted(seconds, reverse=True)


def test_names_are_unique() -> None:
    """They are how the command and the page tell proofs apart."""
    assert len({proof.name for proof in ALL}) == len(ALL)


def test_the_page_is_what_the_registry_says() -> None:
    """`python -m scenarios.proofs --write docs` makes it again."""
    rows = json.loads(LAST_RUN.read_text(encoding="utf-8"))

    assert list(rows) == [proof.name for proof in ALL], "the page was made from other proofs"
    assert page(rows) == PAGE.read_text(encoding="utf-8")
