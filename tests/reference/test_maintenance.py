"""Repairs read the ledger; where it is silent they call a person instead of guessing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reference.flows.maintenance import Repaired

if TYPE_CHECKING:
    from conftest import Shop


async def test_a_payment_linked_to_the_wrong_subscription_is_linked_by_the_ledger(shop: Shop) -> None:
    """Two users with the same tariff at the same second, which is what a guess would mix up."""
    mine, other = await shop.bought("mine", user=1), await shop.bought("other", user=2)
    await shop.write("UPDATE payments SET subscription_id = :s WHERE id = :p", s=f"sub:pay:{other}", p=mine)
    assert await shop.broken_claims() != {}
    assert await shop.service.fix_payments_without_subscription_id() == Repaired(linked=(mine,), unplaced=())
    assert await shop.broken_claims() == {}


async def test_a_payment_without_a_link_is_linked_by_the_ledger(shop: Shop) -> None:
    """Put back to "paid" by hand, for instance."""
    payment = await shop.bought()
    await shop.write("UPDATE payments SET status = 'paid', subscription_id = NULL, completed_at = NULL")
    repaired = await shop.service.fix_payments_without_subscription_id()
    assert repaired.linked == (payment,)


async def test_a_completed_payment_that_the_ledger_does_not_know_is_left_to_a_person(shop: Shop) -> None:
    """Imported from a system without a ledger: nothing says what it bought."""
    await shop.bought("granted")
    orphan = await shop.paid("orphan", user=2)
    await shop.write(
        "UPDATE payments SET status = 'completed', completed_at = paid_at, subscription_id = (SELECT id FROM subscriptions) WHERE id = :p",
        p=orphan,
    )
    repaired = await shop.service.fix_payments_without_subscription_id()
    assert repaired == Repaired(linked=(), unplaced=(orphan,))
    assert (await shop.one("SELECT subject FROM attention")).subject == f"payment:{orphan}"


async def test_there_is_nothing_to_repair_where_the_service_wrote(shop: Shop) -> None:
    """The link is written by the transaction that grants."""
    await shop.bought("first")
    await shop.bought("second")
    assert await shop.service.fix_payments_without_subscription_id() == Repaired((), ())
