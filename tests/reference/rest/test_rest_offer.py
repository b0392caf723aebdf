"""`offer` is the only place that creates a session: one for each claim, whatever Stripe answers and however often it is asked."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy.exc

import reference
from reference import (
    AmbiguousError,
    KeyConflictError,
    LaterError,
    OfferResult,
    PaymentKind,
    RefusedError,
    SessionPayment,
    SessionStatus,
)
from reference.flows import rest_lookup

if TYPE_CHECKING:
    from conftest import Desk

REST = PaymentKind.REST
CLAIM = "rest:1680:g1"
HOUR, DAY = 3_600, 86_400


async def test_an_offer_is_a_claim_and_then_a_session(either_desk: Desk) -> None:
    """The row says what was asked, in the words that were sent; the customer gets the link; every invariant holds."""
    desk = either_desk
    offered = await desk.offer()
    assert offered.result is OfferResult.OPEN
    assert offered.url == f"https://checkout.example/{offered.session_id}"
    row = await desk.shop.one("SELECT * FROM session_claims WHERE id = :id", id=CLAIM)
    request = desk.stripe.requests[-1]
    assert (row.state, row.amount_minor, row.currency, row.session_id) == (
        "open",
        50_000,
        "EUR",
        offered.session_id,
    )
    assert (row.idempotency_key, row.request_body) == (request.idempotency_key, request.body)
    assert request.idempotency_key == f"turnstile:{CLAIM}"
    assert row.expires_at == desk.clock.at + 23 * HOUR
    assert f"client_reference_id={CLAIM.replace(':', '%3A')}" in request.body
    assert f"expires_at={row.expires_at}" in request.body
    await desk.relay()
    assert offered.url in desk.shop.telegram.sent[-1][1]
    assert await desk.shop.broken_claims() == {}


async def test_a_second_offer_finds_the_first(either_desk: Desk) -> None:
    """Stripe is not even asked."""
    first = await either_desk.offer()
    asked = len(either_desk.stripe.calls)
    assert await either_desk.offer() == first
    assert len(either_desk.stripe.calls) == asked


@pytest.mark.parametrize(
    "error",
    [
        LaterError("409 idempotency_key_in_use"),
        LaterError("429"),
        AmbiguousError("timeout"),
        AmbiguousError("connection lost"),
        AmbiguousError("500"),
    ],
    ids=str,
)
@pytest.mark.parametrize("when", ["before", "after"])
async def test_what_is_not_an_answer_is_repeated_with_the_same_key_and_body(
    desk: Desk, error: Exception, when: str
) -> None:
    """Whether Stripe had done it or not, there is one session in the end, and it is ours."""
    getattr(desk.stripe, when).append(error)
    offered = await desk.offer()
    assert offered.result is OfferResult.CLAIMED
    assert offered.why == repr(error)
    assert await desk.shop.broken_claims(reference.no_claim_without_due_job) == {}
    await desk.relay()
    first, second = desk.stripe.requests[-2:]
    assert first == second
    assert await desk.claims() == [(1, "open")]
    assert len(desk.stripe.open_pages()) == 1
    assert await desk.shop.broken_claims() == {}


async def test_a_repeated_refusal_to_answer_is_backed_off_and_a_person_is_told(desk: Desk) -> None:
    """It is never given up: what is not known to be there may be there."""
    desk.stripe.before = [LaterError("429")] * 40
    await desk.offer()
    for _ in range(12):
        await desk.relay_later()
    assert await desk.claims() == [(1, "claimed")]
    assert f"outbox:rest_session:{CLAIM}" in await desk.attention()
    assert await desk.shop.broken_claims() == {}
    assert {request.idempotency_key for request in desk.stripe.requests[1:]} == {f"turnstile:{CLAIM}"}


async def test_an_error_that_is_replayed_all_day_hides_no_session(desk: Desk) -> None:
    """Stripe keeps a 500 under the key, and the session may be there: after some attempts the list is asked as well."""
    desk.stripe.after = [AmbiguousError("500")] * 40
    await desk.offer()
    for _ in range(3):
        await desk.relay_later(60)
    assert await desk.claims() == [(1, "open")]
    assert len(desk.stripe.requests) == 1 + 3
    assert await desk.shop.broken_claims() == {}


async def test_a_refusal_of_the_list_says_nothing_of_the_claim(desk: Desk) -> None:
    """It is not the claim's request that Stripe calls wrong; closed for it, the claim would be followed by a second page."""
    desk.stripe.after = [AmbiguousError("500")] * 3
    for _ in range(3):
        await desk.offer()
    desk.stripe.broken = RefusedError("400 of the list")
    assert (await desk.offer()).result is OfferResult.CLAIMED
    assert "refuses its list" in (await desk.attention())[f"claim:{CLAIM}"]


async def test_a_key_that_is_known_with_another_body_is_never_changed(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """Another key would make a second page. A person is called, and the claim blocks."""
    desk.stripe.before = [KeyConflictError("400 idempotency_error")] * 3
    offered = await desk.offer()
    assert offered.result is OfferResult.CLAIMED
    assert "idempotency_error" in (await desk.attention())[f"claim:{CLAIM}"]
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    await desk.relay()
    await desk.offer()
    assert {request.idempotency_key for request in desk.stripe.requests[1:]} == {f"turnstile:{CLAIM}"}
    assert await desk.claims() == [(1, "claimed")]


async def test_a_body_that_was_changed_by_hand_is_not_sent(desk: Desk) -> None:
    """Its hash was frozen with it."""
    desk.stripe.before = [AmbiguousError("timeout")]
    await desk.offer()
    await desk.shop.write(
        "UPDATE session_claims SET request_body = replace(request_body, '50000', '1') WHERE id = :c", c=CLAIM
    )
    sent = len(desk.stripe.requests)
    assert (await desk.offer()).result is OfferResult.CLAIMED
    assert len(desk.stripe.requests) == sent
    assert "frozen" in (await desk.attention())[f"claim:{CLAIM}"]


async def test_a_refused_request_is_followed_only_after_somebody_has_mended_it(either_desk: Desk) -> None:
    """Generation 2 by schedule would be refused as well, every hour; an operator says when it is mended."""
    desk = either_desk
    desk.stripe.before = [RefusedError("400 invalid currency")]
    offered = await desk.offer()
    assert (offered.result, offered.why) == (OfferResult.REFUSED, "refused")
    assert "invalid currency" in (await desk.attention())[f"claim:{CLAIM}"]
    assert (await desk.offer()).why == "needs_fix"
    assert await desk.service.offer_what_is_due() == []
    assert await desk.claims() == [(1, "failed")]
    assert (await desk.new_link()).result is OfferResult.OPEN
    assert await desk.claims() == [(1, "failed"), (2, "open")]
    assert await desk.shop.broken_claims() == {}


async def test_a_refusal_shortly_before_the_frozen_time_may_mean_that_time(desk: Desk) -> None:
    """Stripe wants 30 minutes at least. The claim is not failed for it; its end decides."""
    desk.stripe.before = [
        AmbiguousError("timeout"),
        RefusedError("expires_at must be at least 30 minutes ..."),
    ]
    await desk.offer()
    desk.clock.at += 22 * HOUR + 30 * 60
    assert (await desk.offer()).result is OfferResult.CLAIMED
    assert await desk.claims() == [(1, "claimed")]


async def test_a_claim_whose_time_is_over_and_that_reached_nobody_is_followed(either_desk: Desk) -> None:
    """Nothing is sent under the old key any more; the list was read to its end and holds nothing."""
    desk = either_desk
    desk.stripe.before = [AmbiguousError("timeout")]
    await desk.offer()
    for _ in range(5):
        desk.stripe.add(reference=None)
        desk.stripe.add(reference="somebody:else")
    desk.clock.at += 23 * HOUR
    offered = await desk.offer()
    assert offered.result is OfferResult.OPEN
    assert await desk.claims() == [(1, "expired"), (2, "open")]
    keys = [request.idempotency_key for request in desk.stripe.requests[1:]]
    assert keys == [f"turnstile:{CLAIM}", "turnstile:rest:1680:g2"]
    row = await desk.shop.one("SELECT closed_why FROM session_claims WHERE id = :id", id=CLAIM)
    assert row.closed_why == "never_created"
    await desk.relay()
    assert await desk.shop.broken_claims() == {}


@pytest.mark.parametrize("found", ["open", "expired", "paid", "processing"])
async def test_a_claim_whose_time_is_over_gets_the_session_that_was_made_after_all(
    desk: Desk, found: str
) -> None:
    """It is on the last page of the list, found by our reference; what becomes of the claim is what its record says."""
    desk.stripe.after = [AmbiguousError("timeout")]
    await desk.offer()
    (name,) = desk.stripe.open_pages()
    for _ in range(5):
        desk.stripe.add(reference="somebody:else")
    for _ in range(4):
        desk.stripe.add(
            reference=CLAIM, created=int(desk.clock.at) - 40 * DAY
        )  # long before: not in the window
    becomes = {
        "expired": (SessionStatus.EXPIRED, SessionPayment.UNPAID),
        "paid": (SessionStatus.COMPLETE, SessionPayment.PAID),
        "processing": (SessionStatus.COMPLETE, SessionPayment.UNPAID),
    }
    if found in becomes:
        desk.stripe.becomes(name, *becomes[found])
    desk.clock.at += 23 * HOUR
    await desk.offer()
    assert await desk.session_of(CLAIM) == name
    assert (await desk.claims())[0] == (1, found)
    assert len([call for call in desk.stripe.calls if call.startswith("list")]) >= 3
    await desk.relay()
    assert await desk.shop.broken_claims() == {}


@pytest.mark.parametrize(
    "error",
    [AmbiguousError("timeout"), LaterError("429"), RefusedError("400"), ConnectionError("gone")],
    ids=repr,
)
async def test_an_error_of_the_list_is_not_an_empty_list(desk: Desk, error: Exception) -> None:
    """Fail open is how deal 1680 could get a second session. Nothing is decided, nothing is created."""
    desk.stripe.before = [AmbiguousError("timeout")]
    await desk.offer()
    desk.clock.at += 23 * HOUR
    desk.stripe.broken = error
    if isinstance(error, ConnectionError):
        with pytest.raises(ConnectionError):
            await desk.offer()
    else:
        assert (await desk.offer()).result is OfferResult.CLAIMED
    assert await desk.claims() == [(1, "claimed")]
    assert desk.stripe.open_pages() == []


async def test_several_sessions_of_one_claim_are_for_a_person(desk: Desk) -> None:
    """Which of them is ours cannot be known; the claim blocks."""
    desk.stripe.before = [AmbiguousError("timeout")]
    await desk.offer()
    desk.stripe.add(reference=CLAIM)
    desk.stripe.add(reference=CLAIM)
    desk.clock.at += 23 * HOUR
    assert (await desk.offer()).result is OfferResult.CLAIMED
    assert "several sessions" in (await desk.attention())[f"claim:{CLAIM}"]


async def test_a_list_too_long_to_be_read_decides_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound on pages is an error, not an end."""
    monkeypatch.setattr(rest_lookup, "PAGES_MAX", 2)
    desk.stripe.before = [AmbiguousError("timeout")]
    await desk.offer()
    for _ in range(5):
        desk.stripe.add(reference=None)
    desk.clock.at += 23 * HOUR
    assert (await desk.offer()).result is OfferResult.CLAIMED
    assert "more than 2 pages" in (await desk.attention())[f"claim:{CLAIM}"]


async def test_a_database_that_fails_means_no_session(desk: Desk) -> None:
    """The claim comes first; where it cannot be written, Stripe hears nothing."""
    await desk.shop.write("ALTER TABLE session_claims RENAME TO gone")
    asked = len(desk.stripe.calls)
    with pytest.raises(sqlalchemy.exc.OperationalError):
        await desk.offer()
    assert len(desk.stripe.calls) == asked


async def test_a_service_without_stripe_makes_no_claim(shop_without_stripe: Desk) -> None:
    """Nobody there could act on it."""
    desk = shop_without_stripe
    with pytest.raises(LookupError, match="no client for Stripe"):
        await desk.service.offer(1680, REST)
    assert await desk.claims() == []


async def test_a_deal_that_nobody_knows_is_an_error(desk: Desk) -> None:
    """Not a refusal: somebody has mistaken a number."""
    with pytest.raises(LookupError, match="no deal 1"):
        await desk.service.offer(1, REST)


def test_sessions_are_created_in_one_place() -> None:
    """One call in all of the flows, in the function that only `attempt` calls."""
    flows = Path(reference.__file__).parent / "flows"
    nodes = [
        (path.name, node)
        for path in flows.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
    ]
    calls = [(name, ast.unparse(node.func)) for name, node in nodes if isinstance(node, ast.Call)]
    assert [name for name, called in calls if called.endswith("checkout().create")] == ["rest_offer.py"]
