"""`award` decides an order once and writes its tickets with the decision, however it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from reference import PaymentStatus, Topic, policies
from reference.flows import outbox, payments, reversals, tickets, tickets_ledger
from reference.model_tickets import AwardOutcome, AwardWhy, ReferralVerdict
from reference.storage import transactions
from reference.storage.statements import insert_once

if TYPE_CHECKING:
    from conftest import Shop

DAY = 86_400
NOON = 1_767_355_200
AWARD = [Topic.AWARD]


async def ledger(shop: Shop) -> list[tuple[str, int, int]]:
    rows = await shop.rows(
        "SELECT reason, beneficiary_id, delta FROM ticket_ledger ORDER BY reason, beneficiary_id"
    )
    return [(row.reason, row.beneficiary_id, row.delta) for row in rows]


async def invited(shop: Shop, *, referrer: int = 3, friend: int = 7) -> None:
    assert await shop.service.bind_referral(referrer_id=referrer, referred_id=friend)


async def give_back(shop: Shop, order: str, status: PaymentStatus = PaymentStatus.REFUNDED) -> None:
    await reversals.reverse(shop.service, await payments.get(shop.service, order), status)


async def test_a_friends_first_payment_gives_to_both_in_one_commit(either_shop: Shop) -> None:
    """Decision, two lines and the event; their names follow from what they are for."""
    shop = either_shop
    await shop.contest()
    await invited(shop)
    order = await shop.bought()
    (decision,) = await shop.service.award(order)
    assert (decision.outcome, decision.referral, decision.referrer_id) == (
        AwardOutcome.AWARDED,
        ReferralVerdict.QUALIFIED,
        3,
    )
    assert await ledger(shop) == [("INVITEE_PAYMENT", 3, 5), ("SELF_PURCHASE", 7, 5)]
    ids = [row.id for row in await shop.rows("SELECT id FROM ticket_ledger ORDER BY id")]
    assert ids == [f"ticket:january:{order}:INVITEE_PAYMENT:3", f"ticket:january:{order}:SELF_PURCHASE:7"]
    event = await shop.one("SELECT status, bound_at, qualified_at FROM ref_events")
    assert tuple(event) == ("qualified", NOON, NOON)
    assert await shop.broken_claims() == {}


async def test_awarding_again_changes_nothing_and_gives_the_same_answer(shop: Shop) -> None:
    """As deployed, a redelivered webhook awarded again: its ids were random and nothing objected."""
    await shop.contest()
    await invited(shop)
    order = await shop.bought()
    first = await shop.service.award(order)
    assert await shop.service.award(order) == first
    assert len(await ledger(shop)) == 2


async def test_eight_callers_at_once_award_once(either_shop: Shop) -> None:
    """API, bot and scheduler, twice over, on real connections."""
    shop = either_shop
    await shop.contest()
    await invited(shop)
    order = await shop.bought()
    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(shop.service.award, order)
    assert await ledger(shop) == [("INVITEE_PAYMENT", 3, 5), ("SELF_PURCHASE", 7, 5)]
    assert await shop.broken_claims() == {}


async def test_two_first_payments_of_one_second_bring_the_friend_once(either_shop: Shop) -> None:
    """Nothing orders them; both buyers' lines stand, and the referrer has one."""
    shop = either_shop
    await shop.contest()
    await invited(shop)
    orders = [await shop.bought(f"tap-{n}") for n in range(2)]
    async with trio.open_nursery() as nursery:
        for order in orders * 2:
            nursery.start_soon(shop.service.award, order)
    assert await ledger(shop) == [("INVITEE_PAYMENT", 3, 5), ("SELF_PURCHASE", 7, 5), ("SELF_PURCHASE", 7, 5)]
    assert await shop.broken_claims() == {}


@pytest.mark.parametrize("later_first", [False, True])
async def test_a_payment_of_the_same_second_that_completes_later_does_not_count_again(
    shop: Shop, later_first: bool
) -> None:
    """Decided before the other one was there, so that the rule about earlier payments alone would let both pass."""
    await shop.contest()
    await invited(shop)
    first, second = sorted([await shop.paid("a"), await shop.paid("b")], reverse=later_first)
    await shop.service.ensure(first)
    assert (await shop.service.award(first))[0].referral is ReferralVerdict.QUALIFIED
    await shop.service.ensure(second)
    expected = ReferralVerdict.COUNTED_ALREADY if later_first else ReferralVerdict.NOT_FIRST_PAYMENT
    assert (await shop.service.award(second))[0].referral is expected
    assert await shop.broken_claims() == {}


async def test_an_order_waits_for_another_one_of_its_buyer_that_is_being_decided(
    postgresql_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could not see the other one's lines yet, and would run into the index instead of deciding."""
    shop = postgresql_shop
    await shop.contest()
    await invited(shop)
    second, first = sorted([await shop.paid("a"), await shop.paid("b")])
    await shop.service.ensure(first)
    deciding, go_on = trio.Event(), trio.Event()

    async def slowly(*args: Any, **options: Any) -> bool:
        deciding.set()  # everything has been read, nothing is written yet
        await go_on.wait()
        return await insert_once(*args, **options)

    async def complete_and_award() -> None:
        await shop.service.ensure(second)
        (decision,) = await shop.service.award(second)
        assert decision.referral is ReferralVerdict.COUNTED_ALREADY

    monkeypatch.setattr(tickets, "insert_once", slowly)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shop.service.award, first)
        await deciding.wait()
        nursery.start_soon(complete_and_award)
        with trio.fail_after(30):
            while not await shop.rows("SELECT 1 FROM pg_locks WHERE NOT granted"):
                await trio.sleep(0.01)
        go_on.set()
    assert await shop.broken_claims() == {}


async def test_a_second_payment_of_a_friend_gives_to_the_buyer_alone(shop: Shop) -> None:
    """Also when the first one is from before the contest, and also when it went back since."""
    await invited(shop)
    first = await shop.bought("first")
    shop.clock.at += DAY
    await shop.contest(starts_at=int(shop.clock.at))
    await give_back(shop, first)
    second = await shop.bought("second")
    (decision,) = await shop.service.award(second)
    assert decision.referral is ReferralVerdict.NOT_FIRST_PAYMENT
    assert await ledger(shop) == [("SELF_PURCHASE", 7, 5)]


async def test_two_who_invited_each_other_and_pay_at_once_do_not_wait_for_one_another(
    postgresql_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each transaction holds its buyer and refers to the other's row; a stronger lock would be a deadlock a second long."""
    shop = postgresql_shop
    both_are_in = trio.Event()
    waiting = []
    give = tickets_ledger.give

    async def together(*args: Any, **options: Any) -> None:
        waiting.append(args)
        if len(waiting) == 2:
            both_are_in.set()
        with trio.move_on_after(5):
            await both_are_in.wait()
        await give(*args, **options)

    monkeypatch.setattr(tickets_ledger, "give", together)
    monkeypatch.setattr(
        transactions, "ATTEMPTS_MAX", 1
    )  # a deadlock would be tried again, and nobody would see it
    await shop.contest()
    await invited(shop, referrer=7, friend=8)
    await invited(shop, referrer=8, friend=7)
    orders = [await shop.bought(f"tap-{user}", user=user) for user in (7, 8)]
    with trio.fail_after(60):  # the tests' server leaves deadlocks alone
        async with trio.open_nursery() as nursery:
            for order in orders:
                nursery.start_soon(shop.service.award, order)
    assert [line[0] for line in await ledger(shop)] == ["INVITEE_PAYMENT"] * 2 + ["SELF_PURCHASE"] * 2


async def test_each_open_contest_decides_by_itself(shop: Shop) -> None:
    """Two that overlap, one that is over and one that was closed: who asks when makes no difference."""
    await shop.contest("january")
    await shop.contest("winter", tickets={1: 1})
    await shop.contest("december", starts_at=NOON - 30 * DAY, ends_at=NOON)
    await shop.contest("closed")
    await shop.service.close_contest("closed")
    decisions = await shop.service.award(await shop.bought())
    assert [(each.contest_id, each.why, each.tickets) for each in decisions] == [
        ("december", AwardWhy.OUTSIDE_PERIOD, 0),
        ("january", AwardWhy.IN_PERIOD, 5),
        ("winter", AwardWhy.IN_PERIOD, 1),
    ]
    assert await shop.broken_claims() == {}


async def test_the_date_is_our_rows(shop: Shop) -> None:
    """Ordered in the last second, paid a minute after the end: inside. No metadata is asked."""
    await shop.contest(ends_at=NOON + 1)
    order = await shop.order()
    shop.clock.at += 60
    shop.pays(order)
    await shop.service.poll_once(order)
    assert (await shop.service.award(order))[0].outcome is AwardOutcome.AWARDED


async def test_an_impossible_date_is_refused_and_told_to_a_person(shop: Shop) -> None:
    """Imported with its order after its payment: a decision, not a failure that comes back for ever."""
    await shop.contest()
    order = await shop.bought()
    await shop.write("UPDATE payments SET created_at = paid_at + 86400")
    assert (await shop.service.award(order))[0].why is AwardWhy.NO_ORDER_DATE
    assert (await shop.one("SELECT subject FROM attention")).subject == f"award:{order}"
    assert await ledger(shop) == []


async def test_an_order_that_is_not_completed_is_not_decided(shop: Shop) -> None:
    """Nor is one that nobody has heard of a matter for retries."""
    await shop.contest()
    order = await shop.paid()
    assert await shop.service.award(order) == ()
    await shop.service.ensure(order)
    await shop.write("UPDATE payments SET status = 'paid'")  # put back by hand
    assert await shop.service.award(order) == ()
    assert await shop.rows("SELECT 1 FROM award_decisions") == []
    with pytest.raises(LookupError, match="p-nobody"):
        await shop.service.award("p-nobody")


async def test_without_an_open_contest_nothing_is_decided_and_nothing_has_failed(shop: Shop) -> None:
    """As deployed, `false` counted as a failure: three pointless calls, then "max attempts"."""
    order = await shop.bought()
    assert await shop.service.relay(topics=AWARD) == 1
    row = await shop.one("SELECT attempts, last_error, dead_at FROM outbox WHERE topic = 'award'")
    assert tuple(row) == (1, None, None)
    assert await shop.service.award(order) == ()


async def test_a_crash_before_the_commit_leaves_nothing_behind(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the lines of the buyer and of the referrer; the job is still due and writes both."""
    await shop.contest()
    await invited(shop)
    order = await shop.bought()

    async def crash(*_args: object, **_options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tickets_ledger, "_qualify", crash)
        with pytest.raises(KeyboardInterrupt):
            await shop.service.award(order)
    assert (
        await shop.rows("SELECT order_id FROM award_decisions UNION ALL SELECT id FROM ticket_ledger") == []
    )
    await shop.service.relay(topics=AWARD)
    assert len(await ledger(shop)) == 2
    assert await shop.broken_claims() == {}


@pytest.mark.parametrize("status", [PaymentStatus.REFUNDED, PaymentStatus.CHARGED_BACK])
async def test_money_that_goes_back_takes_its_tickets_along_once(
    either_shop: Shop, status: PaymentStatus
) -> None:
    """A line for each line, the event revoked; reported three times, relayed by two."""
    shop = either_shop
    await shop.contest()
    await invited(shop)
    order = await shop.bought()
    await shop.service.award(order)
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(give_back, shop, order, status)
    assert await shop.broken_claims() != {}  # until the relay has been here
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(shop.service.relay)
    assert await ledger(shop) == [
        ("INVITEE_PAYMENT", 3, 5),
        ("REVERSAL", 3, -5),
        ("REVERSAL", 7, -5),
        ("SELF_PURCHASE", 7, 5),
    ]
    assert (await shop.one("SELECT status FROM ref_events")).status == "revoked"
    while await shop.service.relay():
        pass
    await shop.service.award(order)  # and asked for once more
    assert len(await ledger(shop)) == 4
    assert await shop.broken_claims() == {}


async def test_money_that_goes_back_before_the_decision_gives_nothing(shop: Shop) -> None:
    """The balance is the same whichever job comes first."""
    await shop.contest()
    order = await shop.bought()
    await give_back(shop, order)
    assert (await shop.service.award(order))[0].why is AwardWhy.MONEY_BACK
    assert await ledger(shop) == []
    assert await shop.service.relay(topics=AWARD) == 0
    assert await shop.broken_claims() == {}


async def test_a_refund_and_the_award_at_the_same_time_agree(either_shop: Shop) -> None:
    """Whichever comes first, money and tickets match in the end."""
    shop = either_shop
    await shop.contest()
    order = await shop.bought()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shop.service.award, order)
        nursery.start_soon(give_back, shop, order)
    while await shop.service.relay():
        pass
    assert sum(delta for _, _, delta in await ledger(shop)) == 0
    assert await shop.broken_claims() == {}


async def test_a_friend_whose_payment_went_back_does_not_count_anew(shop: Shop) -> None:
    """Otherwise buying and giving back would be a way to try again."""
    await shop.contest()
    await invited(shop)
    first = await shop.bought("first")
    await shop.service.award(first)
    await give_back(shop, first)
    shop.clock.at += 60
    second = await shop.bought("second")
    await shop.service.relay(topics=AWARD)
    assert (await shop.service.award(second))[0].referral is ReferralVerdict.NOT_FIRST_PAYMENT
    assert (await shop.one("SELECT status FROM ref_events")).status == "revoked"
    assert await shop.broken_claims() == {}


async def test_attempts_are_counted_exactly_and_capped(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten executions for "at most ten", then a dead letter; as deployed "at most 3" meant four."""
    await shop.contest()
    order = await shop.bought()
    calls = []

    async def fail(_service: object, job: object) -> None:
        calls.append(job)
        raise ConnectionError("down")

    with monkeypatch.context() as patch:
        patch.setitem(outbox.HANDLERS, Topic.AWARD, fail)  # type: ignore[arg-type]
        for _ in range(20):
            await shop.service.relay(topics=AWARD)
            shop.clock.at += policies.BACKOFF_MAX_S
    row = await shop.one("SELECT attempts, dead_at IS NOT NULL AS dead FROM outbox WHERE topic = 'award'")
    assert (len(calls), row.attempts, bool(row.dead)) == (10, 10, True)
    assert (await shop.one("SELECT subject FROM attention")).subject == f"outbox:award:{order}"
    assert await shop.service.award_undecided_orders() == 1
    assert await ledger(shop) == [("SELF_PURCHASE", 7, 5)]
    assert await shop.broken_claims() == {}


async def test_activation_that_fails_does_not_award_again_and_an_award_that_fails_does_not_stop_activation(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are jobs of their own: as deployed, the throw after the award brought the webhook back to award again."""
    await shop.contest()
    await shop.bought()
    shop.servers.down = {"nl-1"}
    for _ in range(3):
        await shop.service.relay()
        shop.clock.at += policies.BACKOFF_MAX_S
    assert await ledger(shop) == [("SELF_PURCHASE", 7, 5)]
    shop.servers.down = set()

    async def fail(_service: object, _job: object) -> None:
        raise ConnectionError("down")

    monkeypatch.setitem(outbox.HANDLERS, Topic.AWARD, fail)  # type: ignore[arg-type]
    await shop.bought("other", user=8)
    await shop.service.relay()
    assert len(shop.servers.keys) == 2
