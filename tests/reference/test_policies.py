"""The policies are pure functions: what is decided, with no database in sight."""

from __future__ import annotations

import pytest

from reference import policies
from reference.model import (
    Grant,
    GrantKind,
    Payment,
    PaymentStatus,
    Provider,
    ProviderPayment,
    ProviderStatus,
    RefundWhy,
    Subscription,
    SubscriptionPolicy,
    Tariff,
    TariffKind,
)
from reference.policies import DAY_S, EXPIRY_AHEAD_MAX_S, SaleRefusal, fold, sale_refusal, undeliverable

NOW = 1_767_355_200


def grant(
    seq: int, at: int, days: int, *, kind: GrantKind = GrantKind.PURCHASE, reverses: str | None = None
) -> Grant:
    return Grant(f"g{seq}", seq, kind, days * DAY_S, at, reverses)


def subscription(expires_at: int, policy: SubscriptionPolicy = SubscriptionPolicy.NORMAL) -> Subscription:
    return Subscription("s", 7, "token", expires_at, policy, 1, 500)


def tariff(*, kind: TariffKind = TariffKind.PAID, archived: bool = False, days: int = 30) -> Tariff:
    return Tariff(1, kind, 19_900, "RUB", days * DAY_S, 0, archived)


def test_an_empty_ledger_ends_in_1970() -> None:
    """Nothing was given, so nothing runs."""
    assert fold([]) == 0


def test_time_adds_up_while_it_runs_and_starts_anew_when_it_has_run_out() -> None:
    """The gap between two purchases is neither sold nor taken away."""
    assert fold([grant(1, NOW, 3), grant(2, NOW + DAY_S, 30)]) == NOW + 33 * DAY_S
    assert fold([grant(1, NOW, 3), grant(2, NOW + 10 * DAY_S, 30)]) == NOW + 40 * DAY_S


def test_the_order_is_the_ledgers_and_not_the_arguments() -> None:
    """Lines may be handed over in any order."""
    lines = [grant(1, NOW, 3), grant(2, NOW + 10 * DAY_S, 30), grant(3, NOW + 11 * DAY_S, 5)]
    assert fold(reversed(lines)) == fold(lines) == NOW + 45 * DAY_S


def test_a_reversal_takes_back_its_own_grant_and_leaves_the_others_whole() -> None:
    """The second purchase then counts from when it was made."""
    first, second = grant(1, NOW, 30), grant(2, NOW + 10 * DAY_S, 30)
    back = grant(3, NOW + 15 * DAY_S, -30, kind=GrantKind.REVERSAL, reverses="g1")
    assert fold([first, second, back]) == NOW + 40 * DAY_S
    assert fold([first, grant(2, NOW, -30, kind=GrantKind.REVERSAL, reverses="g1")]) == 0


def test_a_sale_is_an_extension_only_while_time_is_running() -> None:
    """To the second: what ends now does not run any more."""
    assert policies.sold_as(None, NOW) is GrantKind.PURCHASE
    assert policies.sold_as(subscription(NOW), NOW) is GrantKind.PURCHASE
    assert policies.sold_as(subscription(NOW + 1), NOW) is GrantKind.EXTENSION


@pytest.mark.parametrize(
    ("asked", "vip", "has", "why"),
    [
        (None, False, None, SaleRefusal.NO_SUCH_TARIFF),
        (tariff(archived=True), False, None, SaleRefusal.ARCHIVED),
        (tariff(kind=TariffKind.FREE), False, None, SaleRefusal.FREE),
        (tariff(), True, None, SaleRefusal.UNLIMITED_ALREADY),
        (tariff(), False, subscription(NOW, SubscriptionPolicy.MANUAL), SaleRefusal.UNLIMITED_ALREADY),
        (tariff(), False, subscription(NOW, SubscriptionPolicy.VIP), SaleRefusal.UNLIMITED_ALREADY),
        (tariff(), False, subscription(NOW + EXPIRY_AHEAD_MAX_S), SaleRefusal.BEYOND_CAP),
        (tariff(), False, subscription(NOW + EXPIRY_AHEAD_MAX_S - 30 * DAY_S), None),
        (tariff(), False, None, None),
    ],
)
def test_what_is_not_sold(
    asked: Tariff | None, vip: bool, has: Subscription | None, why: SaleRefusal | None
) -> None:
    """A reason, or None; a buyer far ahead but under the cap is a buyer, not "manual"."""
    assert sale_refusal(asked, vip=vip, subscription=has, now=NOW) is why


def test_the_cap_counts_from_now_and_not_from_an_expiry_long_past() -> None:
    """An expired subscription does not make room, nor does it take any."""
    assert (
        undeliverable(EXPIRY_AHEAD_MAX_S, vip=False, subscription=subscription(NOW - 100 * DAY_S), now=NOW)
        is None
    )
    assert (
        undeliverable(EXPIRY_AHEAD_MAX_S + 1, vip=False, subscription=None, now=NOW) is RefundWhy.BEYOND_CAP
    )


@pytest.mark.parametrize(
    ("amount", "currency", "matches"),
    [(19_900, "RUB", True), (19_899, "RUB", False), (19_901, "RUB", False), (19_900, "KZT", False)],
)
def test_money_matches_to_the_kopeck_and_the_currency(amount: int, currency: str, matches: bool) -> None:
    """Less buys nothing, and more was not asked for."""
    payment = Payment(
        "p", Provider.YOOKASSA, "r", 7, 1, 19_900, "RUB", 1, 0, PaymentStatus.PENDING, None, None, "{}", None
    )
    mismatch = policies.amount_mismatch(payment, ProviderPayment(ProviderStatus.SUCCEEDED, amount, currency))
    assert (mismatch is None) is matches


def test_a_vip_has_no_traffic_limit_and_keeps_the_one_that_was_bought() -> None:
    """For the day they are a VIP no more."""
    assert policies.traffic_limit_mb(subscription(NOW, SubscriptionPolicy.VIP)) == policies.UNLIMITED_MB
    assert policies.traffic_limit_mb(subscription(NOW, SubscriptionPolicy.MANUAL)) == 500


def test_backing_off_doubles_up_to_an_hour() -> None:
    """And a job that has failed a thousand times costs no more than one that has failed ten times."""
    assert [policies.backoff_s(n) for n in (1, 2, 3, 10, 11, 1000)] == [5, 10, 20, 2560, 3600, 3600]


def test_a_refusal_to_deliver_is_also_a_refusal_to_sell() -> None:
    """The two enums share these words; a new reason to refund needs a reason to refuse."""
    assert {why.value for why in RefundWhy} - {"wrong_amount", "surplus"} <= {
        why.value for why in SaleRefusal
    }
