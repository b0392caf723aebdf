"""Two workers, a dead one, one that was asleep: whoever comes, and wherever they stop, there is one page to pay on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trio

from reference import (
    AmbiguousError,
    OfferResult,
    PaymentKind,
    RefusedError,
    Service,
    SessionPayment,
    SessionStatus,
)
from reference.flows import deals, rest_claims, rest_offer, rest_settlement

if TYPE_CHECKING:
    from conftest import Desk

    from reference import SessionRequest

CLAIM = "rest:1680:g1"
HOUR = 3_600


async def test_eight_callers_at_once_make_one_session(either_desk: Desk) -> None:
    """Both crons, the webhook, the operator: all of them real tasks with real connections."""
    desk = either_desk
    await desk.at_once(
        *[desk.offer] * 5, desk.service.offer_what_is_due, desk.service.daily_payment_run, desk.relay
    )
    await desk.relay_later()
    assert await desk.claims() == [(1, "open")]
    assert len(desk.stripe.open_pages()) == 1
    assert {request.idempotency_key for request in desk.stripe.requests[1:]} == {f"turnstile:{CLAIM}"}
    assert await desk.shop.broken_claims() == {}


async def test_a_session_that_expired_is_followed_by_exactly_one(either_desk: Desk) -> None:
    """Events, twins, sweeps and offers see the same end at the same time; the next generation is made by one of them."""
    desk = either_desk
    offered = await desk.offer()
    assert offered.session_id is not None
    session = offered.session_id
    desk.clock.at += 23 * HOUR
    desk.stripe.becomes(session, SessionStatus.EXPIRED)
    await desk.at_once(
        *[lambda n=n: desk.tell("expired", session, event_id=f"evt_{n}") for n in range(4)],  # type: ignore[misc]
        desk.service.watch_sessions,
        desk.service.watch_sessions,
        desk.service.offer_what_is_due,
        desk.new_link,
    )
    await desk.relay_later()
    assert await desk.claims() == [(1, "expired"), (2, "open")]
    assert len(desk.stripe.open_pages()) == 1
    await desk.relay()
    assert await desk.shop.broken_claims() == {}


@pytest.mark.parametrize("reached", [False, True], ids=["before Stripe", "after Stripe"])
async def test_a_worker_that_dies_between_the_claim_and_the_name_is_replaced(
    desk: Desk, reached: bool
) -> None:
    """The dead one's lease runs out; another process makes the same request again."""
    desk.stripe.hold = trio.Event()
    if not reached:
        desk.stripe.before = [AmbiguousError("never sent")]
    with trio.CancelScope() as life:
        async with trio.open_nursery() as nursery:

            async def worker() -> None:
                await desk.offer()

            nursery.start_soon(worker)
            while len(desk.stripe.requests) < 2:
                await trio.sleep(0.001)
            life.cancel()
    desk.stripe.hold = None
    assert await desk.claims() == [(1, "claimed")]
    await desk.shop.write("UPDATE session_claims SET lease_until = claimed_at + 60 WHERE state = 'claimed'")
    await desk.relay()  # the lease still stands: nobody is hurried
    assert await desk.claims() == [(1, "claimed")]
    await desk.relay_later(61)
    assert await desk.claims() == [(1, "open")]
    assert len(desk.stripe.open_pages()) == 1
    assert await desk.shop.broken_claims() == {}


async def test_an_event_may_be_quicker_than_the_worker_that_created_the_session(either_desk: Desk) -> None:
    """The customer is told of the page by no one but us, so this needs a crash; our reference in the record is enough."""
    desk = either_desk
    desk.stripe.after = [AmbiguousError("connection lost")]
    await desk.offer()
    (session,) = desk.stripe.open_pages()
    desk.stripe.becomes(session, SessionStatus.COMPLETE, SessionPayment.PAID)
    await desk.tell("completed", session)
    assert await desk.claims() == [(1, "paid")]
    await desk.relay()
    assert len(desk.stripe.requests) == 2  # the deposit's and this one: the job found its work done
    assert await desk.shop.broken_claims() == {}


class Sleeper:
    """A Stripe whose answers to one worker arrive when the test wakes it."""

    def __init__(self, desk: Desk, error: Exception | None) -> None:
        self.desk, self.error = desk, error
        self.asleep, self.wake = trio.Event(), trio.Event()

    async def create(self, request: SessionRequest):  # type: ignore[no-untyped-def]
        self.asleep.set()
        await self.wake.wait()
        if self.error is not None:
            raise self.error
        return await self.desk.stripe.create(request)


async def asleep(desk: Desk, nursery: trio.Nursery, error: Exception | None = None) -> Sleeper:
    """Start a worker that takes the claim, calls Stripe and sleeps past its lease."""
    stripe = Sleeper(desk, error)
    service = replace(desk.service, checkout_sessions=stripe)
    nursery.start_soon(Service.offer, service, 1680, PaymentKind.REST)
    await stripe.asleep.wait()
    desk.clock.at += 61
    return stripe


async def test_a_worker_that_was_asleep_gets_the_same_session(desk: Desk) -> None:
    """Its late request carries the same key; what it reports is known already."""
    async with trio.open_nursery() as nursery:
        sleeper = await asleep(desk, nursery)
        offered = await desk.offer()
        assert offered.result is OfferResult.OPEN
        sleeper.wake.set()
    assert await desk.claims() == [(1, "open")]
    assert await desk.session_of(CLAIM) == offered.session_id
    assert len(desk.stripe.open_pages()) == 1


async def test_an_overtaken_refusal_closes_nothing(desk: Desk) -> None:
    """The sleeper was told no; the one who overtook it got an ambiguous answer, so a session may be there: the fence decides."""
    async with trio.open_nursery() as nursery:
        sleeper = await asleep(desk, nursery, RefusedError("400"))
        desk.stripe.after = [AmbiguousError("timeout")]
        assert (await desk.offer()).result is OfferResult.CLAIMED
        sleeper.wake.set()
    assert await desk.claims() == [(1, "claimed")]
    await desk.relay()
    assert await desk.claims() == [(1, "open")]


async def test_a_session_that_comes_to_a_closed_claim_is_taken_away_again(either_desk: Desk) -> None:
    """The other order: the one who overtook was refused and closed the claim, then the sleeper's request succeeds."""
    desk = either_desk
    async with trio.open_nursery() as nursery:
        sleeper = await asleep(desk, nursery)
        desk.stripe.before = [RefusedError("400")]
        assert (await desk.offer()).why == "refused"
        assert (await desk.new_link()).result is OfferResult.OPEN
        sleeper.wake.set()
    assert len(desk.stripe.open_pages()) == 2  # for a moment, and we know of both
    await desk.relay()
    assert await desk.claims() == [(1, "failed"), (2, "open")]
    assert desk.stripe.open_pages() == [await desk.session_of("rest:1680:g2")]
    late = await desk.session_of(CLAIM)
    assert "after that had been closed" in (await desk.attention())[f"session:{late}"]
    assert await desk.shop.broken_claims() == {}


async def test_the_lease_keeps_a_second_worker_from_asking_at_the_same_time(desk: Desk) -> None:
    """It would be told 409. What it is told by us is that somebody is at it."""
    async with trio.open_nursery() as nursery:
        stripe = Sleeper(desk, None)
        service = replace(desk.service, checkout_sessions=stripe)
        nursery.start_soon(Service.offer, service, 1680, PaymentKind.REST)
        await stripe.asleep.wait()
        assert (await desk.offer()).result is OfferResult.CLAIMED
        await desk.relay()
        assert len(desk.stripe.requests) == 1  # the deposit's
        stripe.wake.set()
    row = await desk.shop.one(
        "SELECT attempts, last_error FROM outbox WHERE dedupe_key = :k", k=f"rest_session:{CLAIM}"
    )
    assert "somebody else is at" in row.last_error


async def test_without_the_lock_the_keys_of_the_table_still_hold(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deal's lock makes callers queue; that there is one claim is the table's doing. (On SQLite the lock is BEGIN IMMEDIATE.)"""
    claim = await rest_offer._claim(desk.service, 1680, PaymentKind.REST, rest_offer.By.SCHEDULE)
    real = rest_claims.last
    stale = iter([None])

    async def last(connection, deal_id, kind):  # type: ignore[no-untyped-def]
        return next(stale, await real(connection, deal_id, kind))

    monkeypatch.setattr(rest_claims, "last", last)
    assert await rest_offer._claim(desk.service, 1680, PaymentKind.REST, rest_offer.By.SCHEDULE) == claim
    assert await desk.claims() == [(1, "claimed")]


async def test_an_offer_waits_for_a_settlement_that_is_under_way(postgresql_desk: Desk) -> None:
    """The one thing that no unique key can say: no page for a debt that is settled a moment later. So both lock the deal."""
    desk = postgresql_desk
    await desk.offer()
    await desk.shop.write(
        "UPDATE session_claims SET state = 'expired', closed_why = 'session_expired' WHERE id = :id", id=CLAIM
    )
    outcomes: list[OfferResult] = []

    async def offer() -> None:
        outcomes.append((await desk.offer()).result)

    async with trio.open_nursery() as nursery, desk.service.engine.begin() as connection:
        deal = await deals.lock(connection, 1680)
        assert deal is not None
        nursery.start_soon(offer)
        waiting = (
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        while not outcomes and not await desk.shop.rows(waiting):
            await trio.sleep(0.01)
        claim = await rest_claims.by_id(connection, CLAIM)
        assert claim is not None
        paid = desk.stripe.becomes(str(claim.session_id), SessionStatus.COMPLETE, SessionPayment.PAID)
        await rest_settlement.settle(connection, claim, paid, now=int(desk.clock.at))
    assert outcomes == [OfferResult.SETTLED]
    assert await desk.claims() == [(1, "paid")]
    await desk.relay()
    assert await desk.shop.broken_claims() == {}
