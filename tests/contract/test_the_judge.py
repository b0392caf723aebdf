"""Would a fault of the stand-in be noticed? A judge that finds nothing wrong with anything is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scenarios.services.stripe import Stripe
from scenarios.services.stripe_objects import new_session
from tests.contract import stripe_mock
from tests.contract.openapi import Description
from tests.services.caller import Caller, Now
from tests.services.test_stripe import REST, SESSIONS


@pytest.fixture
def session(standin: Stripe) -> Any:
    """An answer of the stand-in, which is right."""
    return Caller(standin, authorization="Bearer sk_test_1").post(SESSIONS, form=REST).body


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "paid"},
        {"payment_status": "open"},
        {"deal_id": "1680"},
        {"expires_at": "2026-01-02"},
        {"expires_at": None},
        {"metadata": {"deal_id": 1680}},
        {"automatic_tax": {"enabled": False, "rate": 20}},
        {"object": "session"},
    ],
)
def test_a_wrong_field_is_complained_about(
    description: Description, session: Any, wrong: dict[str, Any]
) -> None:
    """An unknown word, an invented field at any depth, a type, a null where there is none."""
    schema = description.of_object("checkout.session")

    assert description.complaints(session, schema) == []
    assert description.complaints(session | wrong, schema) != []


def test_a_missing_field_is_complained_about(description: Description, session: Any) -> None:
    """One that Stripe always sends."""
    del session["payment_status"]

    assert (
        "'payment_status' is a required property"
        in description.complaints(session, description.of_object("checkout.session"))[0]
    )


def test_the_plainest_session_is_right(description: Description) -> None:
    """Without any optional parameter."""
    item = {"price_data": {"currency": "eur", "unit_amount": 1}}
    plain = new_session(
        "cs_test_1", 1, {"mode": "payment", "success_url": "https://example.com", "line_items": [item]}
    )

    assert description.complaints(plain, description.of_object("checkout.session")) == []


def test_without_go_and_without_stripe_mock_the_reason_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Three ways, each in one line."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("TURNSTILE_STRIPE_MOCK", raising=False)
    monkeypatch.delenv("TURNSTILE_STRIPE_SPEC", raising=False)

    for asked in (stripe_mock.program, stripe_mock.description):
        with pytest.raises(
            stripe_mock.UnavailableError,
            match=r"go install .*, or docker compose up .*, or put Go on the PATH",
        ):
            asked()


def test_a_program_that_was_named_and_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a skip: somebody meant it."""
    monkeypatch.setenv("TURNSTILE_STRIPE_MOCK", "/nowhere/stripe-mock")

    with pytest.raises(FileNotFoundError, match="TURNSTILE_STRIPE_MOCK=/nowhere/stripe-mock"):
        stripe_mock.program()


def test_go_that_fails_is_a_reason_to_skip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine that is offline has what Go said in the reason."""
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho 'no route to proxy.golang.org' >&2\nexit 1\n")
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.delenv("TURNSTILE_STRIPE_SPEC", raising=False)

    with pytest.raises(stripe_mock.UnavailableError, match="no route to proxy"):
        stripe_mock.description()


def test_a_description_that_was_named_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """For those who have Docker and no Go."""
    path = tmp_path / "spec3.json"
    path.write_text(json.dumps({"info": {"version": "1"}, "paths": {}, "components": {"schemas": {}}}))
    monkeypatch.setenv("TURNSTILE_STRIPE_SPEC", str(path))

    assert Description(stripe_mock.description()).version == "1"


def test_the_clock_of_the_tests_is_the_stand_ins(now: Now, session: Any) -> None:
    """Or the windows of lists would prove nothing."""
    assert session["created"] == int(now.s)
