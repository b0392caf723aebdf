"""A payment is made once, pinned to what was offered, and believed on the provider's word alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import trio

from reference import (
    CreateKeyReusedError,
    Ensured,
    Offer,
    Provider,
    ProviderStatus,
    SaleRefusedError,
    payment_id_for,
)
from reference.flows import payments

if TYPE_CHECKING:
    from conftest import Shop

DAY = 86_400


async def confirm(shop: Shop, payment: str) -> ProviderStatus | None:
    return await payments.confirm(shop.service, await payments.get(shop.service, payment))


async def test_a_payment_freezes_what_was_offered(shop: Shop) -> None:
    """Price, duration, limit and the body that the provider is sent."""
    payment = await shop.order()
    await shop.write("UPDATE tariffs SET price_minor = 1, duration_sec = 1 WHERE id = 1")
    row = await shop.one("SELECT * FROM payments")
    assert (row.id, row.status, row.amount_minor, row.duration_sec, row.traffic_limit_mb) == (
        payment,
        "pending",
        19_900,
        30 * DAY,
        100_000,
    )
    assert row.provider_payment_id == f"remote-{payment}"
    assert json.loads(row.create_body)["amount_minor"] == 19_900


async def test_the_same_key_makes_the_same_payment(shop: Shop) -> None:
    """A double tap: one row, one request to the provider after the first answer, the same link."""
    first, second = await shop.order("tap"), await shop.order("tap")
    assert first == second == payment_id_for("tap")
    assert len(shop.yookassa.requests) == 1


async def test_two_taps_at_once_send_the_same_request_and_make_one_payment(shop: Shop) -> None:
    """Both carry our id as the idempotence key and the same bytes."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shop.order, "tap")
        nursery.start_soon(shop.order, "tap")
    assert len(await shop.rows("SELECT 1 FROM payments")) == 1
    assert len({(request.idempotence_key, request.body) for request in shop.yookassa.requests}) == 1


async def test_a_lost_answer_is_asked_for_again_with_the_same_body(shop: Shop) -> None:
    """Also after the tariff was edited: another body under the same key would be refused."""
    shop.yookassa.broken = TimeoutError("no answer")
    with pytest.raises(TimeoutError):
        await shop.order("tap")
    await shop.write("UPDATE tariffs SET price_minor = 1 WHERE id = 1")
    shop.yookassa.broken = None
    await shop.order("tap")
    first, second = shop.yookassa.requests
    assert first == second


async def test_a_key_that_comes_back_for_something_else_is_an_error(shop: Shop) -> None:
    """A new intention needs a new key."""
    await shop.order("tap")
    with pytest.raises(CreateKeyReusedError, match="is asked for"):
        await shop.order("tap", tariff=2)


@pytest.mark.parametrize(("tariff", "why"), [(9, "no_such_tariff"), (3, "free")])
async def test_what_is_not_for_sale_makes_no_payment(shop: Shop, tariff: int, why: str) -> None:
    """No row, and no request to the provider."""
    with pytest.raises(SaleRefusedError, match=why):
        await shop.order(tariff=tariff)
    assert await shop.rows("SELECT 1 FROM payments") == []
    assert shop.yookassa.requests == []


async def test_a_vip_is_not_sold_anything(shop: Shop) -> None:
    """They would get nothing for it."""
    await shop.service.set_vip(7, vip=True, operator="anna")
    with pytest.raises(SaleRefusedError, match="unlimited_already"):
        await shop.order()


async def test_an_archived_tariff_is_not_sold(shop: Shop) -> None:
    """A button in an old message leads here."""
    await shop.write("UPDATE tariffs SET archived = true WHERE id = 1")
    with pytest.raises(SaleRefusedError, match="archived"):
        await shop.order()


async def test_a_payment_pins_the_subscription_that_the_buyer_saw(shop: Shop) -> None:
    """None for a first purchase, the live one afterwards."""
    await shop.bought("first")
    await shop.order("second")
    targets = await shop.rows(
        "SELECT target_subscription_id AS target FROM payments ORDER BY created_at, target_subscription_id IS NOT NULL"
    )
    live = (await shop.one("SELECT id FROM subscriptions")).id
    assert [row.target for row in targets] == [None, live]


async def test_a_payment_is_paid_when_the_provider_says_so(shop: Shop) -> None:
    """With its job in the same commit."""
    payment = await shop.order()
    shop.pays(payment)
    assert await confirm(shop, payment) is ProviderStatus.SUCCEEDED
    assert await shop.status(payment) == "paid"
    assert (await shop.one("SELECT dedupe_key FROM outbox")).dedupe_key == f"ensure:{payment}"


async def test_a_pending_or_unknown_payment_stays_pending(shop: Shop) -> None:
    """A provider that does not know it proves nothing."""
    payment = await shop.order()
    assert await confirm(shop, payment) is None
    shop.pays(payment, status=ProviderStatus.PENDING)
    assert await confirm(shop, payment) is ProviderStatus.PENDING
    assert await shop.status(payment) == "pending"


@pytest.mark.parametrize(("amount", "currency"), [(19_800, "RUB"), (20_000, "RUB"), (19_900, "USD")])
async def test_wrong_money_is_owed_back_whole_and_somebody_is_told(
    shop: Shop, amount: int, currency: str
) -> None:
    """Nothing is granted for it, and it is not swallowed."""
    payment = await shop.order()
    shop.pays(payment, amount=amount, currency=currency)
    await confirm(shop, payment)
    assert (await shop.service.ensure(payment)).result is Ensured.REFUND_DUE
    refund = await shop.one("SELECT why, amount_minor, currency FROM refunds")
    assert tuple(refund) == ("wrong_amount", amount, currency)
    assert f"{amount} {currency} arrived" in (await shop.one("SELECT why FROM attention")).why
    assert await shop.broken_claims() == {}


async def test_a_canceled_payment_that_succeeds_after_all_is_paid(shop: Shop) -> None:
    """Money that arrives is never ignored, whatever was said before."""
    payment = await shop.order()
    shop.pays(payment, status=ProviderStatus.CANCELED)
    await confirm(shop, payment)
    assert await shop.status(payment) == "canceled"
    shop.pays(payment)
    await confirm(shop, payment)
    assert await shop.status(payment) == "paid"


async def test_a_settled_payment_is_not_asked_about_again(shop: Shop) -> None:
    """Neither paid nor completed ones: the answer could change nothing."""
    payment = await shop.bought()
    asked = len(shop.yookassa.looked_up)
    assert await confirm(shop, payment) is None
    assert len(shop.yookassa.looked_up) == asked


async def test_a_payment_nobody_knows_is_a_lookup_error(shop: Shop) -> None:
    """The message names it."""
    with pytest.raises(LookupError, match="p-nobody"):
        await payments.get(shop.service, "p-nobody")


async def test_a_provider_that_was_not_set_up_is_named(shop: Shop) -> None:
    """With those that were."""
    object.__setattr__(shop.service, "providers", {Provider.YOOKASSA: shop.yookassa})
    with pytest.raises(LookupError, match="no client for platega; it has: yookassa"):
        await shop.service.create_payment(
            Offer(create_key="k", user_id=7, tariff_id=1, provider=Provider.PLATEGA)
        )
