"""``turnstile incidents``: what it prints, what it exits with, and that it judges rather than repeats."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import pytest

from scenarios.incidents import command
from scenarios.incidents.subscription_224.incident import INCIDENT
from scenarios.incidents.subscription_224.scenario import GRANTED, two_payments
from scenarios.incidents.subscription_224.shops import BEFORE, REFERENCE, expiry_is_sum_of_paid_durations
from scenarios.incidents.variants import Incident, Variant
from simulator import World, simulate
from simulator.cli import main

VIOLATED, HOLDS = "bottleneck_7_an_extension_is_lost", "reference_two_payments"


@pytest.fixture(autouse=True)
def two_variants(monkeypatch: pytest.MonkeyPatch) -> Incident:
    """#224 with two variants: judging all is what `pytest scenarios/` does."""
    small = replace(INCIDENT, variants=(INCIDENT.variant(VIOLATED), INCIDENT.variant(HOLDS)))
    monkeypatch.setattr(command, "incident", lambda _name: small)
    monkeypatch.setattr(command, "incidents", lambda: [small])
    return small


def test_the_table_has_a_row_for_each_variant(capsys: pytest.CaptureFixture[str]) -> None:
    """Who is violated, by which claim, how; who holds, shown how."""
    assert main(["incidents"]) == 0

    shown = capsys.readouterr().out
    assert "deployed   bottleneck_7_an_extension_is_lost  violated  in execution" in shown
    assert "expiry_is_sum_of_paid_durations: subscription 224 expires" in shown
    assert "reference  reference_two_payments             holds     100 executions, sampled" in shown
    assert "1 violated, 1 hold" in shown
    assert "every verdict is as documented" in shown


def test_with_a_name_the_stories_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each beat, and the conflict in words."""
    assert main(["incidents", "subscription_224"]) == 0

    shown = capsys.readouterr().out
    assert "webhook#1: UPDATE subscriptions" in shown
    assert "(takes over)" in shown
    assert "conflict: " in shown


def test_json_has_the_documented_fields(capsys: pytest.CaptureFixture[str]) -> None:
    """A list of objects; a program that reads it finds nothing else on the standard output."""
    assert main(["incidents", "--json"]) == 0

    violated, holds = json.loads(capsys.readouterr().out)
    assert list(violated) == [
        "incident",
        "variant",
        "role",
        "verdict",
        "how",
        "invariant",
        "executions",
        "seconds",
        "story",
    ]
    assert (violated["incident"], violated["variant"], violated["role"]) == (
        "subscription_224",
        VIOLATED,
        "deployed",
    )
    assert (violated["verdict"], violated["invariant"]) == ("violated", "expiry_is_sum_of_paid_durations")
    assert all(isinstance(line, str) for line in violated["story"])
    assert len(violated["story"]) > 3
    assert (holds["verdict"], holds["how"], holds["executions"], holds["story"]) == (
        "holds",
        "sampled",
        100,
        [],
    )


def another_claim(world: World) -> str | None:
    """Is violated, and is not what the variant says."""
    return "always" if world.database.rows("SELECT 1 FROM payments") else None


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (
            simulate(schema=REFERENCE.schema, finds=REFERENCE.claims[0])(
                partial(two_payments, shop=REFERENCE, granted=GRANTED)
            ),
            "expected: violated (expiry_is_sum_of_paid_durations), found: holds",
        ),
        (
            simulate(schema=BEFORE.schema, eventually=[expiry_is_sum_of_paid_durations])(
                partial(two_payments, shop=BEFORE, granted=GRANTED)
            ),
            "expected: holds, found: violated (expiry_is_sum_of_paid_durations)",
        ),
        (
            simulate(schema=BEFORE.schema, always=[another_claim], finds=expiry_is_sum_of_paid_durations)(
                partial(two_payments, shop=BEFORE, granted=GRANTED)
            ),
            "expected: violated (expiry_is_sum_of_paid_durations), found: violated (another_claim)",
        ),
        (
            simulate(
                schema=REFERENCE.schema, eventually=[REFERENCE.claims[0]], sometimes=[lambda _world: None]
            )(partial(two_payments, shop=REFERENCE, granted=GRANTED)),
            "was never reached",
        ),
    ],
    ids=["holds", "violated", "another_claim", "vacuous"],
)
def test_a_verdict_that_is_not_as_documented_fails(
    wrong: object,
    told: str,
    two_variants: Incident,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The command judges: what the variant says of itself is compared with what was found."""
    variant = Variant(name="wrong", role="deployed", does="-", why="-", run=wrong)  # type: ignore[arg-type]
    monkeypatch.setattr(command, "incidents", lambda: [replace(two_variants, variants=(variant,))])

    assert main(["incidents"]) == 1

    shown = " ".join(capsys.readouterr().out.split())
    assert "NOT AS DOCUMENTED: subscription_224, wrong:" in shown
    assert told in shown


def test_an_unknown_incident_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With those that there are, and the exit code of a wrong use."""
    from scenarios.incidents.catalogue import incident

    monkeypatch.setattr(command, "incident", incident)

    assert main(["incidents", "deal_1681"]) == 2
    assert "there is no incident 'deal_1681'; there are: " in capsys.readouterr().err


def test_ctrl_c_keeps_what_was_judged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rows that are there are printed, and the exit code says that it is not all."""
    real, count = command.judge, 0

    def interrupted(*arguments: object, **named: object) -> object:
        nonlocal count
        count += 1
        if count == 2:
            raise KeyboardInterrupt
        return real(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(command, "judge", interrupted)

    assert main(["incidents"]) == 130

    shown = capsys.readouterr()
    assert VIOLATED in shown.out
    assert "interrupted after 1 of 2 variants" in shown.err


def test_without_a_command_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """And the exit code of a wrong use."""
    assert main([]) == 2
    assert "incidents" in capsys.readouterr().out
