"""Scenarios of tickets: each holds, and each is what notices when one of the guards is taken away."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from reference import Service
from reference.storage.schema import metadata
from scenarios.flows.box_office import (
    ANOTHER,
    BUYER,
    DAY_S,
    HOUR,
    JANUARY,
    MINUTE,
    NOON_S,
    REFERRER,
    TARIFF,
    UNNAMED,
    YEARLY,
    BoxOffice,
    closing,
    opening,
    operator,
    processing,
    relay,
    scheduler,
    webhook,
)
from scenarios.flows.ticket_claims import (
    A_CONTEST_IS_WHOLE,
    ALL_IS_WELL,
    ALWAYS,
    CALM,
    EVENTUALLY,
    ONE_EVENT_PER_FRIEND,
    UNDISTURBED,
    it_was_drawn,
    nobody_is_left_out_of_the_draw,
    nothing_comes_after_the_draw,
    tickets_were_given,
)
from simulator import Crash, World, restarted, simulate


@simulate(schema=metadata, always=UNDISTURBED, eventually=ALL_IS_WELL, sometimes=[tickets_were_given])
async def everybody_awards(world: World) -> None:
    """A webhook and its duplicate, the bot, the scheduler and the relay over one order of an invited buyer."""
    office = BoxOffice(world)
    office.has_contest()
    office.has_invitation()
    office.has_bought("o-1")
    office.runs("api", webhook("o-1"))
    office.runs("bot", processing(office, "o-1"))
    office.runs("worker", relay(ticks=1), scheduler())
    await world.quiesce()


@simulate(
    schema=metadata, always=ALWAYS, eventually=ALL_IS_WELL, sometimes=[tickets_were_given, restarted("bot")]
)
async def somebody_dies_awarding(world: World) -> None:
    """The bot, which awards in haste, is killed at any moment; the worker may be as well."""
    office = BoxOffice(world)
    office.has_contest()
    office.has_invitation()
    office.has_bought("o-1")
    office.runs("bot", processing(office, "o-1"))
    office.runs("worker", relay(ticks=3))
    world.inject(Crash("bot"), Crash("worker"))
    await world.quiesce()


@simulate(
    schema=metadata, always=ALWAYS, eventually=ALL_IS_WELL, sometimes=[tickets_were_given, restarted("api")]
)
async def paid_and_awarded(world: World) -> None:
    """From the money to the tickets: nobody but the job decides when the API dies after the delivery."""
    office = BoxOffice(world)
    office.has_contest()
    office.has_invitation()
    office.has_order("o-1")
    office.runs("api", webhook("o-1"))
    office.runs("worker", relay(ticks=3))
    world.inject(Crash("api"))
    await world.quiesce()


@simulate(schema=metadata, always=UNDISTURBED, eventually=EVENTUALLY, sometimes=[tickets_were_given])
async def two_first_payments(world: World) -> None:
    """Two orders of an invited buyer, completed in one second: nothing says which was first."""
    office = BoxOffice(world)
    office.has_contest()
    office.has_invitation()
    office.has_bought("o-2", completed_at=NOON_S)
    office.has_order("o-1", created_at=NOON_S - 60, paid_at=NOON_S, status="paid")
    office.runs("bot", processing(office, "o-1"))
    office.runs("other bot", processing(office, "o-2"))
    office.runs("worker", scheduler(after=MINUTE))
    await world.quiesce()


@simulate(schema=metadata, always=UNDISTURBED, eventually=EVENTUALLY)
async def they_invited_each_other(world: World) -> None:
    """Two who invited each other pay at once: each one's line refers to the other one's row."""
    office = BoxOffice(world)
    office.has_contest()
    for referrer, friend in ((BUYER, ANOTHER), (ANOTHER, BUYER)):
        office.has_invitation(referrer=referrer, friend=friend)
    for user in (BUYER, ANOTHER):
        office.has_bought(f"o-{user}", user=user)
        office.runs(f"bot {user}", processing(office, f"o-{user}"))
    office.runs("worker", scheduler(after=HOUR))
    await world.quiesce()


@simulate(
    schema=metadata,
    always=[*ALWAYS, nothing_comes_after_the_draw, nobody_is_left_out_of_the_draw],
    eventually=EVENTUALLY,
    sometimes=[it_was_drawn, tickets_were_given],
)
async def the_contest_closes(world: World) -> None:
    """An operator closes the contest and draws, while an order is delivered and another one awarded; then once more."""
    office = BoxOffice(world)
    office.has_contest()
    office.has_order("o-1", status="paid", paid_at=NOON_S)
    office.has_bought("o-2", user=ANOTHER)
    office.runs("bot", processing(office, "o-1"))
    office.runs("desk", closing(office), closing(office, after=HOUR, name="closes again"))
    office.runs("worker", relay(ticks=2))
    await world.quiesce()


@simulate(
    schema=metadata,
    always=[*ALWAYS, nothing_comes_after_the_draw],
    eventually=EVENTUALLY,
    sometimes=[it_was_drawn, tickets_were_given],
    executions=300,  # without the lock that it is about, one in some dozens shows it
)
async def the_order_comes_late(world: World) -> None:
    """An operator is about to commit when an order is completed, and its award still sees the contest open."""
    office = BoxOffice(world)
    office.has_contest()
    office.has_order("o-1", status="paid", paid_at=NOON_S)
    office.runs("bot", processing(office, "o-1"))
    office.runs("desk", closing(office))
    await world.quiesce()


@simulate(schema=metadata, always=CALM, eventually=ALL_IS_WELL, sometimes=[tickets_were_given])
async def a_contest_is_opened_late(world: World) -> None:
    """The order's job finds no contest, or it does; the scheduler comes later."""
    office = BoxOffice(world)
    office.has_invitation()
    office.has_bought("o-1")
    office.runs("worker", relay(ticks=1))
    office.runs("desk", opening(office, JANUARY, name="opens"))
    office.runs("other worker", scheduler(after=HOUR))
    await world.quiesce()


@simulate(
    schema=metadata,
    always=[*CALM, A_CONTEST_IS_WHOLE],
    eventually=ALL_IS_WELL,
    sometimes=[tickets_were_given, restarted("desk")],
)
async def two_open_a_contest(world: World) -> None:
    """Two operators open one contest, each with terms of their own; one of them may die, and an order is waiting."""
    office = BoxOffice(world)
    office.has_bought("o-1")
    office.runs("desk", opening(office, JANUARY, name="opens"))
    office.runs(
        "other desk", opening(office, replace(JANUARY, tickets={TARIFF: 6, YEARLY: 70}), name="opens too")
    )
    office.runs("worker", relay(ticks=1), scheduler(after=HOUR))
    world.inject(Crash("desk"))
    await world.quiesce()


@simulate(schema=metadata, always=UNDISTURBED, eventually=ALL_IS_WELL, sometimes=[tickets_were_given])
async def money_goes_back(world: World) -> None:
    """A refund is told twice while the order is awarded."""
    office = BoxOffice(world)
    office.has_contest()
    office.has_invitation()
    office.has_bought("o-1")
    office.gives_back("o-1")
    office.runs("api", webhook("o-1", event="refund.succeeded"))
    office.runs("bot", processing(office, "o-1", after=MINUTE))
    office.runs("worker", relay(ticks=3))
    office.runs("other worker", relay(ticks=2, name="other relay"))
    await world.quiesce()


@simulate(schema=metadata, always=UNDISTURBED, eventually=ALL_IS_WELL)
async def given_back_before_it_is_decided(world: World) -> None:
    """The money is back when the order's award is tried for the first time."""
    office = BoxOffice(world)
    office.has_contest()
    office.has_invitation()
    office.has_bought("o-1", status="refunded")
    office.gives_back("o-1")
    office.runs("bot", processing(office, "o-1"))
    office.runs("worker", relay(ticks=1))
    await world.quiesce()


@simulate(schema=metadata, always=ALWAYS, eventually=ALL_IS_WELL, sometimes=[restarted("worker")])
async def somebody_dies_taking_back(world: World) -> None:
    """Tickets are given and the money goes back; the API, which would take them back at once, is killed at any moment."""
    office = BoxOffice(world)
    office.has_contest()
    office.has_invitation()
    office.has_bought("o-1")
    office.gives_back("o-1")
    office.runs("worker", relay(ticks=4))
    office.runs("api", webhook("o-1", event="refund.succeeded", deliveries=1, retries=0, after=MINUTE))
    world.inject(Crash("worker"), Crash("api"))
    await world.quiesce()


@simulate(schema=metadata, always=CALM, eventually=ALL_IS_WELL, sometimes=[tickets_were_given])
async def imported_money_goes_back(world: World) -> None:
    """An order without a grant of ours: its refund brings no job, so the scheduler has to find its tickets."""
    office = BoxOffice(world)
    office.has_contest()
    office.has_invitation()
    office.has_bought("o-1", imported=True)
    office.gives_back("o-1")
    office.runs("worker", scheduler(ticks=1))
    office.runs("api", webhook("o-1", event="refund.succeeded"))
    office.runs("other worker", scheduler(ticks=2, after=HOUR))
    await world.quiesce()


@simulate(
    schema=metadata,
    always=[*ALWAYS, ONE_EVENT_PER_FRIEND, nothing_comes_after_the_draw],
    eventually=ALL_IS_WELL,
    sometimes=[tickets_were_given, restarted("api"), restarted("worker")],
)
async def a_day_of_the_contest(world: World) -> None:
    """Two contests, three buyers who invited one another, orders of any date and tariff, money that goes back, and deaths."""
    office = BoxOffice(world)
    office.has_contest()
    if world.choose("a second contest", (False, True)):
        office.has_contest(replace(JANUARY, id="winter", starts_at=NOON_S - 45, tickets={TARIFF: 1}))
    for friend, referrer in ((BUYER, REFERRER), (ANOTHER, BUYER)):
        bound_ago = world.choose(f"{friend} was invited so long ago", (None, 90, 60, 40, 15 * DAY_S))
        if bound_ago is not None:
            office.has_invitation(referrer=referrer, friend=friend, bound_at=NOON_S - bound_ago)
    orders = [("o-1", BUYER), ("o-2", BUYER), ("o-3", ANOTHER), ("o-4", 9)]
    for order, user in orders[: world.choose("orders", (1, 2, 3, 4))]:
        when = world.choose(f"{order} was ordered", (60, 30, 3 * DAY_S, 8 * DAY_S))
        tariff = world.choose(f"tariff of {order}", (TARIFF, YEARLY, UNNAMED))
        # Not both orders of one buyer now: of two that complete in one second either may be the first.
        if order != "o-2" and world.choose(f"{order} is paid", ("now", "since")) == "now":
            office.has_order(order, user=user, tariff=tariff, created_at=NOON_S - when)
            office.runs(f"bot {user} {order}", processing(office, order))
        else:
            at = NOON_S - when
            office.has_bought(order, user=user, tariff=tariff, ordered_at=at, completed_at=at + 5)
    api = [webhook("o-1")]
    if world.choose("o-1 goes back", (False, True)):
        back = operator(_goes_back(world, office), name="refund", after=30 * MINUTE)
        office.runs("provider", back)
        api += [webhook("o-1", event="refund.succeeded", after=31 * MINUTE)]
    office.runs("api", *api)
    office.runs("worker", relay(ticks=4), scheduler(after=2 * HOUR))
    world.inject(Crash("api"), Crash("worker"))
    await world.quiesce()


def _goes_back(world: World, office: BoxOffice) -> Callable[[Service], Awaitable[None]]:
    async def refund(_service: Service) -> None:
        await world.call("provider refunds o-1", lambda: office.gives_back("o-1"))

    return refund


ALL_OF_THEM = (
    everybody_awards,
    somebody_dies_awarding,
    paid_and_awarded,
    two_first_payments,
    they_invited_each_other,
    the_contest_closes,
    the_order_comes_late,
    a_contest_is_opened_late,
    two_open_a_contest,
    money_goes_back,
    given_back_before_it_is_decided,
    somebody_dies_taking_back,
    imported_money_goes_back,
    a_day_of_the_contest,
)
