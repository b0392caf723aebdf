"""Scenarios of a deal's payments in which something of Stripe's gets lost, comes late, is refused or is forged."""

from __future__ import annotations

from datetime import timedelta

from reference.storage.schema import metadata
from scenarios.flows.deals import (
    ALWAYS,
    DAY,
    DEBT,
    FIRST,
    HOUR,
    MINUTE,
    NOON,
    Desk,
    crm,
    desk_with_deal,
    event,
    hourly,
    new_link,
    operator,
    statement,
    watch,
    worker,
)
from scenarios.flows.deals_claims import (
    STRICT,
    UNTIL_SOMEBODY_ASKS,
    WHATEVER,
    money_has_its_place,
    nobody_repeats_what_was_refused,
    one_page_in_the_end,
)
from simulator import Crash, World, simulate


@simulate(schema=metadata, executions=10, always=STRICT, eventually=WHATEVER)
async def stripe_is_away_for_a_day(world: World) -> None:
    """Nothing reaches Stripe for longer than a page lives; and before that one request may have, unseen."""
    desk = desk_with_deal(world)
    desk.stripe.trouble[1] = world.choose("the first creation", ["lost request", "lost answer"])
    _down(desk, after=timedelta(seconds=1), hours=25)
    desk.runs("worker", hourly(), worker(after=MINUTE, every=5 * HOUR, ticks=7))
    desk.runs("other worker", worker(after=26 * HOUR, ticks=3))
    await world.quiesce()


@simulate(schema=metadata, executions=10, always=STRICT, eventually=WHATEVER)
async def a_kept_error(world: World) -> None:
    """Stripe has made the page, and tells everybody who repeats the request "500"; other pages are made, so its list is long."""
    desk = desk_with_deal(world)
    desk.stripe.trouble[1] = "kept 500"
    desk.runs("worker", hourly(), worker(after=MINUTE, every=HOUR, ticks=6))
    desk.runs("other worker", worker(after=MINUTE, every=HOUR, ticks=6))
    _others(desk)
    await world.quiesce()


@simulate(schema=metadata, executions=10, always=STRICT, eventually=WHATEVER)
async def found_by_the_list(world: World) -> None:
    """The answer is lost, our worker is away until the page's time is over; somebody gave her the link, and she has paid."""
    desk = desk_with_deal(world)
    desk.stripe.trouble[1] = "lost answer"
    _others(desk)
    desk.outside(lambda: desk.stripe.pay(FIRST), name="customer", after=HOUR)
    desk.runs("api", hourly(), hourly(after=DAY, name="cron"))
    desk.runs("worker", worker(after=DAY, ticks=4), worker(after=2 * DAY, name="at the end"))
    await world.quiesce()


@simulate(schema=metadata, executions=10, always=STRICT, eventually=WHATEVER)
async def the_list_is_refused(world: World) -> None:
    """The page is there behind a kept error, Stripe does not show its list for some hours, and a person presses for a new link."""
    desk = desk_with_deal(world)
    desk.stripe.trouble[1] = "kept 500"
    desk.stripe.list_is_refused = True
    mended = 6 * HOUR
    desk.outside(lambda: setattr(desk.stripe, "list_is_refused", False), name="stripe mends it", after=mended)
    desk.runs("worker", hourly(), worker(after=MINUTE, every=HOUR, ticks=9))
    desk.runs("desk", new_link(after=5 * HOUR))
    await world.quiesce()


@simulate(schema=metadata, executions=10, always=STRICT, eventually=WHATEVER)
async def quicker_than_the_answer(world: World) -> None:
    """Stripe makes the page at once and answers late; somebody gives her the link, she pays, and the event is here first."""
    desk = desk_with_deal(world)
    desk.stripe.trouble[1] = "answered late"
    desk.runs("api", crm(version=1))
    desk.outside(lambda: desk.stripe.pay_if_there(FIRST), name="customer", after=timedelta(seconds=5))
    desk.runs("door", event(FIRST, after=timedelta(seconds=8)))
    desk.runs("worker", worker(after=MINUTE, ticks=3), watch(after=HOUR))
    await world.quiesce()


@simulate(
    schema=metadata,
    executions=10,
    always=[*STRICT, nobody_repeats_what_was_refused],
    eventually=UNTIL_SOMEBODY_ASKS,
)
async def refused_for_good(world: World) -> None:
    """Stripe refuses the request, whoever makes it; crons run every hour."""
    desk = desk_with_deal(world)
    desk.stripe.trouble.update({1: "refused", 2: "refused", 3: "refused"})
    desk.runs("api", hourly(ticks=3))
    desk.runs("other api", hourly(name="other hourly"))
    desk.runs("worker", worker(ticks=3))
    await world.quiesce()


@simulate(schema=metadata, executions=10, always=STRICT, eventually=WHATEVER)
async def refused_at_the_last_moment(world: World) -> None:
    """The request arrives first when its page would live for less than Stripe allows; nobody presses a button."""
    desk = desk_with_deal(world)
    _down(desk, after=timedelta(0), hours=22)
    desk.runs(
        "worker", hourly(after=MINUTE), worker(after=22 * HOUR + 35 * MINUTE, every=10 * MINUTE, ticks=8)
    )
    desk.runs("other worker", worker(after=30 * HOUR, ticks=3))
    await world.quiesce()


@simulate(schema=metadata, executions=10, always=ALWAYS, eventually=WHATEVER)
async def a_copy_of_the_page(world: World) -> None:
    """Somebody makes a second session with our reference; its event comes, twice; she pays it, or does not."""
    desk = desk_with_deal(world)
    desk.runs(
        "worker", hourly(), worker(ticks=1, after=MINUTE), worker(after=HOUR * 3, ticks=3, name="later")
    )
    ends = int((NOON + 20 * HOUR).timestamp())
    desk.outside(lambda: desk.stripe.add(f"{DEBT}:g1", 50_000, "EUR", ends), name="copy", after=HOUR)
    if world.choose("she pays the copy", [True, False]):
        desk.outside(lambda: desk.stripe.pay("cs_test_2"), name="customer", after=HOUR + MINUTE)
    desk.runs("api", event("cs_test_2", after=2 * HOUR, deliveries=2))
    await world.quiesce()


@simulate(
    schema=metadata, executions=10, always=STRICT, eventually=[money_has_its_place, one_page_in_the_end]
)
async def edited_by_hand(world: World) -> None:
    """The answer is lost; a person edits the request in our table to "mend" it; another one presses for a new link."""
    desk = desk_with_deal(world)
    desk.stripe.trouble[1] = "lost answer"
    edit = f"UPDATE session_claims SET request_body = request_body || '&locale=de' WHERE id = '{DEBT}:g1'"
    desk.runs("worker", hourly(), worker(after=10 * MINUTE, ticks=3))
    desk.runs("desk", operator(statement(edit), name="edit", after=MINUTE), new_link(after=HOUR))
    await world.quiesce()


@simulate(schema=metadata, executions=10, always=STRICT, eventually=WHATEVER)
async def a_forged_event(world: World) -> None:
    """Somebody says that she has paid; and when she has, Stripe's record lags behind its event; no watch runs."""
    desk = desk_with_deal(world)
    desk.runs(
        "worker", hourly(), worker(ticks=3, after=MINUTE), worker(after=3 * HOUR, ticks=4, name="later")
    )
    desk.runs("api", event(FIRST, after=10 * MINUTE, at_the_door=True, name="forged"))

    def pay() -> None:
        desk.stripe.lags(FIRST, 4000)
        desk.stripe.pay(FIRST)

    desk.outside(pay, name="customer", after=2 * HOUR)
    desk.runs("other api", event(FIRST, after=2 * HOUR, at_the_door=True))
    desk.runs("other worker", worker(after=2 * HOUR, ticks=1), worker(after=DAY, name="at the end"))
    await world.quiesce()


@simulate(schema=metadata, executions=10, always=STRICT, eventually=WHATEVER)
async def only_an_event(world: World) -> None:
    """The worker loses the answer and dies; the customer pays by a link that somebody gave her; an event is all that we get."""
    desk = desk_with_deal(world)
    desk.stripe.trouble[1] = "lost answer"
    desk.runs("api", hourly())
    desk.outside(lambda: desk.stripe.pay(FIRST), name="customer", after=HOUR)
    desk.runs("door", event(FIRST, after=HOUR + MINUTE, at_the_door=True))
    desk.runs("worker", worker(after=2 * HOUR, ticks=3))
    world.inject(Crash("door"))
    await world.quiesce()


@simulate(schema=metadata, executions=10, always=STRICT, eventually=WHATEVER)
async def nobody_hears(world: World) -> None:
    """The customer pays, or lets the page expire, and no event comes."""
    desk = desk_with_deal(world)
    desk.runs("api", hourly())
    desk.runs(
        "worker",
        worker(after=MINUTE, ticks=1),
        watch(after=HOUR, ticks=2, every=DAY),
        worker(after=3 * DAY, name="later"),
    )
    if world.choose("she pays", [True, False]):
        desk.outside(desk.pays, name="customer", after=30 * MINUTE)
    await world.quiesce()


def _down(desk: Desk, *, after: timedelta, hours: int) -> None:
    """Nothing reaches Stripe for so long."""
    desk.outside(lambda: setattr(desk.stripe, "is_down", True), name="stripe is away", after=after)
    desk.outside(
        lambda: setattr(desk.stripe, "is_down", False), name="stripe is back", after=timedelta(hours=hours)
    )


def _others(desk: Desk) -> None:
    """Pages of other people, so that ours is not on the first page of the list."""

    def make() -> None:
        for number in range(3):
            desk.stripe.add(f"rest:{number}:g1", 1, "EUR", int((NOON + 20 * HOUR).timestamp()))

    desk.outside(make, name="others", after=30 * MINUTE)


ALL_OF_THEM = (
    stripe_is_away_for_a_day,
    a_kept_error,
    found_by_the_list,
    the_list_is_refused,
    quicker_than_the_answer,
    refused_for_good,
    refused_at_the_last_moment,
    a_copy_of_the_page,
    edited_by_hand,
    a_forged_event,
    only_an_event,
    nobody_hears,
)
