"""Deal 1680 as an incident: its verdicts, and that those who count can count."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from scenarios.incidents.deal_1680.account import (
    DEAL,
    Account,
    a_second_page_after_the_first,
    money_on_its_way,
    nobody_pays_twice,
    one_page_per_deal,
    one_session_in_stripes_records,
    whoever_wants_to_pay_can,
)
from scenarios.incidents.deal_1680.desks import AS_DEPLOYED, REST_MINOR
from scenarios.incidents.deal_1680.incident import INCIDENT
from scenarios.incidents.deal_1680.scenario import APART, FIRST, SECOND
from scenarios.services.stripe_sessions import Sessions
from simulator import Operator, World, simulate
from simulator.oracles import name_of

VERDICTS = {
    "cron_x_cron": "violated",
    "cron_x_processor": "violated",
    "operator_by_hand": "violated",
    "failed_look_at_stripe": "violated",
    "failed_look_at_the_database": "violated",
    "lost_answer": "violated",
    "crash_before_the_save": "violated",
    "delayed_payment": "violated",
    "one_run_after_the_other": "holds",
    "after_an_expiry": "holds",
    "option_1_cron_x_cron": "violated",
    "option_1_after_an_expiry": "violated",
    "option_2_cron_x_cron": "violated",
    "option_3": "holds",
    "option_3_with_a_crash": "violated",
    "option_3_asking_stripe_with_a_crash": "violated",
    "lease_lock_and_a_slow_request": "violated",
    "bare_key": "holds",
    "bare_key_after_an_expiry": "violated",
    "bare_key_after_a_day": "violated",
    "reference_at_once": "holds",
    "reference_after_an_expiry": "holds",
    "reference_delayed_payment": "holds",
    "reference_operator": "holds",
    "reference_lost_answer": "holds",
}


def test_the_verdicts_are_those_of_the_analysis_of_the_incident() -> None:
    """One who changes a verdict changes a document that says why."""
    assert {one.name: one.expected for one in INCIDENT.variants} == VERDICTS


def test_what_holds_could_have_failed() -> None:
    """Each variant that holds says what it must have reached, and some story finds the same claims violated."""
    variants = INCIDENT.variants
    found = {name_of(one.specification.finds) for one in variants if one.specification.finds is not None}

    assert found == {"one_page_per_deal", "nobody_pays_twice", "whoever_wants_to_pay_can"}
    assert all(one.specification.claims.sometimes for one in variants if one.expected == "holds")


def test_the_minutes_of_the_incident() -> None:
    """85 seconds."""
    assert (APART.total_seconds(), FIRST + APART) == (85, SECOND)


# Those who count -----------------------------------------------------------------------------------------------------

counting = simulate(schema=AS_DEPLOYED.schema, sequential=True, executions=1)


def page(account: Account, **changes: object) -> str:
    """A rest session."""
    price = {"currency": "eur", "unit_amount": REST_MINOR}
    session = account.stripe.sessions.create(
        {
            "mode": "payment",
            "success_url": "https://shop.example.com/thanks",
            "line_items": [{"price_data": price, "quantity": 1}],
            "metadata": {"deal_id": str(DEAL), "payment_type": "rest"} | changes,
        }
    )
    return str(session["id"])


async def seen_by_stripe(world: World, account: Account) -> None:
    """A request comes to Stripe, and whoever counts looks."""
    client = account.http()

    async def ask() -> None:
        await client.get("https://api.stripe.com/v1/checkout/sessions", auth=("sk_test_1", ""))

    world.run(Operator(ask))
    await world.quiesce()


@pytest.mark.parametrize(
    ("first_becomes", "seen"),
    [
        (lambda _sessions, _name: None, True),
        (lambda sessions, name: sessions.complete_unpaid(name), True),
        (lambda sessions, name: sessions.expire(name), False),
        (lambda sessions, name: sessions.pay(name), False),
    ],
    ids=["open", "complete and unpaid", "expired", "paid"],
)
@counting
async def test_two_pages_are_two_by_which_money_can_come(
    world: World, first_becomes: Callable[[Sessions, str], object], seen: bool
) -> None:
    """A page that is closed is in nobody's way; one whose money is on its way is."""
    account = Account(world)
    first_becomes(account.stripe.sessions, page(account))
    page(account)

    await seen_by_stripe(world, account)

    assert (one_page_per_deal(world) is not None) is seen


@counting
async def test_pages_of_other_debts_do_not_count(world: World) -> None:
    """Another deal's, or the same deal's deposit."""
    account = Account(world)
    page(account)
    page(account, deal_id="1681")
    page(account, payment_type="deposit")

    await seen_by_stripe(world, account)

    assert one_page_per_deal(world) is None
    assert one_session_in_stripes_records(world) is None


@counting
async def test_money_is_counted_when_it_arrives(world: World) -> None:
    """On its way it is neither paid nor gone."""
    account = Account(world)
    sessions = account.stripe.sessions
    by_bank, by_card = page(account), page(account)
    sessions.complete_unpaid(by_bank)
    sessions.pay(by_card)
    await seen_by_stripe(world, account)
    assert (nobody_pays_twice(world), money_on_its_way(world)) == (None, by_bank)

    sessions.settle(by_bank, succeeded=True)

    assert nobody_pays_twice(world) == f"{2 * REST_MINOR} cents came for a rest of {REST_MINOR} cents"


@pytest.mark.parametrize(
    ("state", "turned_away"),
    [("no link", True), ("open", False), ("expired", True), ("on its way", False), ("paid", False)],
)
@counting
async def test_who_is_turned_away(world: World, state: str, turned_away: bool) -> None:
    """Whoever owes and finds no page; not one who has paid, or whose bank is at it."""
    account = Account(world)
    sessions = account.stripe.sessions
    if state != "no link":
        name = page(account)
        account.remote.told.append(f"Pay here: {sessions.all[name]['url']}")
        becomes = {"expired": sessions.expire, "on its way": sessions.complete_unpaid, "paid": sessions.pay}
        becomes.get(state, lambda _name: {})(name)
    world.run(Operator(account.pays))
    await world.quiesce()

    assert (whoever_wants_to_pay_can(world) is not None) is turned_away
    assert account.received_minor() == (REST_MINOR if state in ("open", "paid") else 0)


@counting
async def test_a_page_that_follows_an_open_one_is_no_successor(world: World) -> None:
    """What shows that a story reached its subject is not shown by two open pages."""
    account = Account(world)
    first = page(account)
    page(account)
    await seen_by_stripe(world, account)
    assert a_second_page_after_the_first(world) is None

    account.stripe.sessions.expire(first)

    assert a_second_page_after_the_first(world) == "expired, open"
