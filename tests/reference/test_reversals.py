"""Money that went back takes its own time back, and nobody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from reference import Ensured, PaymentStatus
from reference.flows import payments, reversals

if TYPE_CHECKING:
    from conftest import Shop

DAY = 86_400
NOON = 1_767_355_200


async def give_back(shop: Shop, payment: str, status: PaymentStatus = PaymentStatus.REFUNDED) -> None:
    await reversals.reverse(shop.service, await payments.get(shop.service, payment), status)


async def test_a_refund_leaves_what_other_payments_bought(shop: Shop) -> None:
    """The second payment's thirty days count from when it was made."""
    first = await shop.bought("first")
    shop.clock.at += 10 * DAY
    await shop.bought("second")
    shop.clock.at += 5 * DAY
    await give_back(shop, first)
    assert await shop.expires_at() == NOON + 40 * DAY
    assert await shop.broken_claims() == {}


@pytest.mark.parametrize("status", [PaymentStatus.REFUNDED, PaymentStatus.CHARGED_BACK])
async def test_money_goes_back_once_whoever_reports_it(shop: Shop, status: PaymentStatus) -> None:
    """Three reports at once: one reversal, and the keys are looked at again."""
    payment = await shop.bought()
    await shop.service.relay()
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(give_back, shop, payment, status)
    assert await shop.status(payment) == status
    assert len(await shop.rows("SELECT 1 FROM entitlement_grants WHERE kind = 'reversal'")) == 1
    await shop.service.relay()
    assert shop.servers.keys == {}
    assert await shop.broken_claims() == {}


async def test_money_that_goes_back_before_the_grant_closes_the_payment(shop: Shop) -> None:
    """There is nothing to take back, and nothing will be given."""
    payment = await shop.paid()
    await give_back(shop, payment)
    assert (await shop.service.ensure(payment)).result is Ensured.CLOSED
    assert await shop.rows("SELECT 1 FROM entitlement_grants") == []
    assert await shop.broken_claims() == {}


@pytest.mark.parametrize("status", [PaymentStatus.REFUNDED, PaymentStatus.CHARGED_BACK])
async def test_a_refund_that_was_due_is_noted_as_returned(shop: Shop, status: PaymentStatus) -> None:
    """So nobody sends the money a second time."""
    payment = await shop.paid()
    await shop.service.set_vip(7, vip=True, operator="anna")
    await shop.service.ensure(payment)
    await give_back(shop, payment, status)
    assert (await shop.one("SELECT returned_at FROM refunds")).returned_at == shop.clock.at
    assert await shop.broken_claims() == {}


async def test_a_chargeback_of_a_vips_old_payment_does_not_end_the_favour(shop: Shop) -> None:
    """A pinned date is not the ledger's to move; the ledger remembers for later."""
    payment = await shop.bought()
    await shop.service.set_vip(7, vip=True, operator="anna")
    await give_back(shop, payment, PaymentStatus.CHARGED_BACK)
    await shop.service.set_vip(7, vip=False, operator="anna")
    assert await shop.expires_at() == 0


async def test_a_refund_and_the_grant_at_the_same_time_agree(either_shop: Shop) -> None:
    """Whichever comes first, money and time match in the end."""
    payment = await either_shop.paid()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(either_shop.service.ensure, payment)
        nursery.start_soon(give_back, either_shop, payment)
    assert await either_shop.status(payment) == "refunded"
    assert await either_shop.broken_claims() == {}
