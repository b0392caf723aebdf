"""Deal 1680: what holds in the reference's stories fails in them when what carries it is taken out, from outside."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from reference import SessionStatus, policies_rest
from reference.flows import rest_offer, rest_sessions
from reference.model_rest import Verdict
from scenarios.incidents.deal_1680.incident import INCIDENT
from simulator import Limits, explore
from simulator.database.sqlite import SqliteDatabase

Patch = pytest.MonkeyPatch


def a_key_for_each_attempt(patch: Patch) -> None:
    """Whoever repeats a request asks for another session."""
    attempts, create = itertools.count(), rest_offer._create

    async def create_anew(service: Any, claim: Any) -> Any:
        return await create(
            service, replace(claim, idempotency_key=f"{claim.idempotency_key}:{next(attempts)}")
        )

    patch.setattr(rest_offer, "_create", create_anew)


def the_open_page_is_left_open(patch: Patch) -> None:
    """An operator's new link believes the old page closed without closing it."""

    async def believe(service: Any, session_id: str) -> Any:
        return replace(await rest_sessions.ask(service, session_id), status=SessionStatus.EXPIRED)

    patch.setattr(rest_sessions, "close_page", believe)


def _read_as(patch: Patch, real: Verdict, instead: Verdict) -> None:
    verdict = policies_rest.verdict

    def misread(claim: Any, session: Any) -> Verdict:
        found = verdict(claim, session)
        return instead if found is real else found

    patch.setattr(policies_rest, "verdict", misread)


def complete_and_unpaid_is_over(patch: Patch) -> None:
    """As deployed: neither open nor paid is no session."""
    _read_as(patch, Verdict.PROCESSING, Verdict.EXPIRED)


def expired_still_counts(patch: Patch) -> None:
    """Option 1."""
    _read_as(patch, Verdict.EXPIRED, Verdict.OPEN)


@pytest.mark.parametrize(
    ("story", "without", "claim"),
    [
        ("reference_at_once", a_key_for_each_attempt, "one_page_per_deal"),
        ("reference_lost_answer", a_key_for_each_attempt, "one_page_per_deal"),
        ("reference_operator", the_open_page_is_left_open, "one_page_per_deal"),
        ("reference_delayed_payment", complete_and_unpaid_is_over, "one_page_per_deal"),
        ("reference_after_an_expiry", expired_still_counts, "whoever_wants_to_pay_can"),
    ],
)
def test_without_it_the_story_ends_badly(
    monkeypatch: Patch, story: str, without: Callable[[Patch], None], claim: str
) -> None:
    """Within the executions that the variant itself asks for."""
    without(monkeypatch)
    told = INCIDENT.variant(story).specification
    assert told.schema is not None

    found = explore(
        told.scenario,
        claims=told.claims,
        database=SqliteDatabase(told.schema),
        limits=Limits(told.executions or 100),
        bounds=told.bounds,
        shrinking=False,
    )

    assert found.failure is not None
    assert found.failure.name == claim
