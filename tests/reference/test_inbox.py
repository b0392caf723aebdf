"""An inbox is a queue: each row is somebody's for a while, comes back if they die, and later each time if nothing comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from reference import policies
from reference.flows import inbox
from reference.flows.inbox_rows import NAME_MAX, Receipt, is_name

if TYPE_CHECKING:
    from conftest import Shop


async def told(shop: Shop, *keys: str) -> list[str]:
    """Orders that are paid for, and whose notifications are written down."""
    orders = [await shop.order(key, user=10 + number) for number, key in enumerate(keys)]
    for order in orders:
        assert await shop.service.yookassa_webhook_received(shop.pays(order)) is Receipt.NEW
    return orders


async def test_several_workers_share_what_is_due_and_ask_once_about_each(either_shop: Shop) -> None:
    """Nobody waits for anybody's row, and no row is taken twice."""
    shop = either_shop
    orders = await told(shop, "a", "b", "c", "d", "e")
    tried: list[int] = []

    async def worker() -> None:
        tried.append(await shop.service.work_inbox())

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(worker)
    assert sum(tried) == 5
    assert sorted(shop.yookassa.looked_up) == sorted(f"remote-{order}" for order in orders)
    assert [await shop.status(order) for order in orders] == ["completed"] * 5
    assert await shop.broken_claims() == {}


async def test_what_a_dead_worker_had_taken_comes_back_when_its_time_is_over(either_shop: Shop) -> None:
    """There is nobody who could give it back."""
    shop = either_shop
    (order,) = await told(shop, "a")
    assert await inbox.take(shop.service) is not None  # and dies
    assert await shop.service.work_inbox() == 0
    shop.clock.at += policies.INBOX_LEASE_S
    assert await shop.service.work_inbox() == 1
    assert await shop.status(order) == "completed"


async def test_what_nothing_comes_of_is_asked_about_less_and_less_often(shop: Shop) -> None:
    """A forged notification, or one that names a payment which is never paid, costs a look-up an hour in the end, and a person's look."""
    order = await shop.order()
    await shop.service.yookassa_webhook_received(
        {"event": "payment.succeeded", "object": {"id": f"remote-{order}"}}
    )
    waits = []
    for _ in range(12):
        assert await shop.service.work_inbox() == 1
        next_at = (await shop.one("SELECT next_at FROM inbox")).next_at
        waits.append(next_at - int(shop.clock.at))
        shop.clock.at = next_at
    assert waits == [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]
    assert await shop.rows("SELECT 1 FROM attention") == []
    for _ in range(policies.INBOX_ATTEMPTS_ALARM):
        await shop.service.work_inbox()
        shop.clock.at += 3600
    called = await shop.one("SELECT subject, why FROM attention")
    assert called.subject == f"inbox:yookassa:payment.succeeded:remote-{order}"
    assert called.why == "nothing has come of it after 20 attempts"


async def test_a_provider_that_says_it_again_is_looked_at_at_once(shop: Shop) -> None:
    """Its record lagged behind its first notification; the second one ends the waiting."""
    order = await shop.order()
    notification = shop.pays(order)
    record = shop.yookassa.records.pop(f"remote-{order}")
    await shop.service.yookassa_webhook_received(notification)
    for _ in range(4):
        await shop.service.work_inbox()
        shop.clock.at += 5
    shop.yookassa.records[f"remote-{order}"] = record
    assert await shop.service.work_inbox() == 0
    assert await shop.service.yookassa_webhook_received(notification) is Receipt.AGAIN
    assert await shop.service.work_inbox() == 1
    assert await shop.status(order) == "completed"
    assert await shop.service.yookassa_webhook_received(notification) is Receipt.DONE


async def test_one_that_cannot_be_finished_does_not_keep_the_others_waiting(shop: Shop) -> None:
    """With a small limit, as a worker has it: the oldest is put off, and the next one's turn comes."""
    await told(shop, "stuck")
    shop.yookassa.broken = ConnectionError("down")
    assert await shop.service.work_inbox(limit=1) == 1
    shop.yookassa.broken = None
    shop.clock.at += 1
    (order,) = await told(shop, "other")
    assert await shop.service.work_inbox(limit=1) == 1
    assert await shop.status(order) == "completed"


async def test_stripes_events_are_a_queue_too(shop: Shop) -> None:
    """Written down without Stripe's client; a worker that has one works on them."""
    event = {"id": "evt_1", "type": "checkout.session.completed", "data": {"object": {"id": "cs_test_1"}}}
    assert await shop.service.stripe_webhook_received(event) is Receipt.NEW
    assert await shop.service.stripe_webhook_received(event | {"id": "evt_2"}) is Receipt.AGAIN
    assert await shop.service.stripe_webhook_received(event | {"type": "charge.updated"}) is Receipt.IGNORED
    row = await shop.one("SELECT event_id, deliveries, attempts, done_at FROM checkout_inbox")
    assert tuple(row) == ("evt_1", 2, 0, None)


@pytest.mark.parametrize("value", ["", "a" * (NAME_MAX + 1), "a\x00", "a\nb", "\ud800", 5, None, ["a"]])
def test_what_is_no_name(value: object) -> None:
    """A key of a table has to be something that both databases keep, and a log line shows."""
    assert not is_name(value)
    assert is_name("payment.succeeded")
