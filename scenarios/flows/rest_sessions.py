"""Scenarios of a deal's payments: each holds, and each is what notices when one of the guards is taken away.

`scenarios.flows.rest_answers` has those in which something of Stripe's gets lost, comes late or is refused.
"""

from __future__ import annotations

from datetime import timedelta

from reference import DealStatus
from reference.storage.schema import metadata
from scenarios.flows.deals import (
    ALWAYS,
    AT_A_CREATION,
    CLOSED,
    DAY,
    DEBT,
    FIRST,
    HOUR,
    MINUTE,
    NOON,
    Desk,
    crm,
    daily,
    desk_with_deal,
    event,
    hourly,
    new_link,
    watch,
    worker,
)
from scenarios.flows.deals_claims import (
    HALVES_STAY_HALVES,
    OLD_PRICES_ARE_WITHDRAWN,
    ONE_ROW_PER_DEAL,
    ONE_ROW_PER_EVENT,
    STRICT,
    THE_NEWEST_WORD_COUNTS,
    UNTIL_SOMEBODY_ASKS,
    WHATEVER,
    no_link_leads_nowhere,
    nobody_is_asked_for_more,
    nobody_is_told_that_a_key_is_in_use,
    pages_ask_what_the_crm_says,
)
from simulator import Crash, World, restarted, simulate


@simulate(schema=metadata, executions=20, always=STRICT, eventually=WHATEVER, sometimes=[restarted("api")])
async def offered_at_once(world: World) -> None:
    """Two crons and the CRM want one page; something happens to the first creation; a process dies; the worker goes on."""
    desk = desk_with_deal(world, amount_minor=world.choose("deal, minor", [100_000, 99_999, 2]))
    desk.stripe.trouble[1] = world.choose("the first creation", AT_A_CREATION)
    desk.runs("api", hourly(name="cron"))
    desk.runs("other api", hourly(name="other cron"))
    desk.runs("worker", worker(after=2 * MINUTE, ticks=7))
    world.inject(Crash("api"))
    await world.quiesce()


@simulate(
    schema=metadata, executions=10, always=[*STRICT, nobody_is_told_that_a_key_is_in_use], eventually=WHATEVER
)
async def a_slow_creation(world: World) -> None:
    """Stripe takes 15 s, and two crons and the worker want the page meanwhile."""
    desk = desk_with_deal(world)
    desk.stripe.trouble[1] = "slow"
    desk.runs("api", hourly(name="cron"))
    desk.runs("other api", hourly(name="other cron"), hourly(name="third cron", after=timedelta(seconds=12)))
    desk.runs("worker", worker(ticks=3))
    await world.quiesce()


@simulate(schema=metadata, executions=10, always=ALWAYS, eventually=UNTIL_SOMEBODY_ASKS)
async def one_was_asleep(world: World) -> None:
    """A worker stops right before its request; its successor is refused, a person opens the next page; then it wakes up and asks.

    For a moment there are two pages, which is said in docs/flows/rest_sessions.md; the customer may pay both.
    """
    desk = desk_with_deal(world)
    desk.stripe.asleep = 1
    desk.stripe.trouble[1] = "refused"
    desk.runs("api", hourly())
    desk.runs(
        "worker",
        worker(after=timedelta(seconds=65), ticks=1),
        worker(after=MINUTE * 3, ticks=5, name="later"),
    )
    desk.runs("desk", new_link(after=timedelta(seconds=80)))
    if world.choose("she pays every page", [True, False]):

        def pay_all() -> None:
            for name in desk.stripe.may_bring_money(DEBT):
                desk.stripe.pay(name)

        desk.outside(pay_all, name="customer", after=timedelta(seconds=100))
    desk.runs("end", watch(after=2 * HOUR), worker(after=3 * HOUR, ticks=3, name="at the end"))
    await world.quiesce()


@simulate(schema=metadata, executions=10, always=STRICT, eventually=UNTIL_SOMEBODY_ASKS)
async def told_no_too_late(world: World) -> None:
    """A worker is refused, and sleeps before it hears so; meanwhile another one makes the page and loses the answer."""
    desk = desk_with_deal(world)
    desk.stripe.trouble.update({1: "refused, told late", 2: "lost answer"})
    desk.runs("api", hourly())
    desk.runs(
        "worker",
        worker(after=timedelta(seconds=65), ticks=1),
        worker(after=MINUTE * 3, ticks=4, name="later"),
    )
    desk.runs("desk", new_link(after=timedelta(seconds=100)))
    await world.quiesce()


@simulate(
    schema=metadata,
    executions=10,
    always=[*STRICT, ONE_ROW_PER_EVENT],
    eventually=WHATEVER,
    sometimes=[restarted("api")],
)
async def the_day_after(world: World) -> None:
    """Nobody pays; the page closes itself; an event, its twin, a watch and a cron see it; the customer pays the next one, or not."""
    desk = desk_with_deal(world)
    desk.runs("api", event(FIRST, "expired", deliveries=2, after=CLOSED), hourly(after=CLOSED, name="cron"))
    desk.runs(
        "worker",
        hourly(),
        worker(ticks=1, after=MINUTE),
        watch(after=CLOSED),
        worker(ticks=3, after=CLOSED, name="later"),
    )
    if world.choose("she pays the next day", [True, False]):
        desk.outside(desk.pays, name="customer", after=DAY + HOUR)
        desk.runs("end", watch(after=DAY + 2 * HOUR), worker(after=DAY + 3 * HOUR, name="at the end"))
    world.inject(Crash("api"))
    await world.quiesce()


@simulate(schema=metadata, executions=15, always=[*STRICT, ONE_ROW_PER_EVENT], eventually=WHATEVER)
async def paid_by_card(world: World) -> None:
    """She pays the page, and an event, its twin, a watch and an operator are all there; receipts come once."""
    desk = desk_with_deal(world)
    desk.runs("api", hourly(), event(FIRST, deliveries=2, after=HOUR))
    desk.runs(
        "worker", worker(ticks=1, after=MINUTE), watch(after=HOUR), worker(after=2 * HOUR, name="later")
    )
    desk.outside(desk.pays, name="customer", after=HOUR)
    desk.runs("desk", new_link(after=HOUR))
    desk.runs("end", watch(after=3 * HOUR), worker(after=4 * HOUR, ticks=3, name="at the end"))
    await world.quiesce()


@simulate(schema=metadata, executions=10, always=STRICT, eventually=WHATEVER)
async def paid_by_bank(world: World) -> None:
    """The money takes three days; crons and an operator run meanwhile; then it comes, or it does not."""
    desk = desk_with_deal(world)
    comes = world.choose("the money comes", [True, False])
    bank = (lambda: desk.stripe.pay(FIRST)) if comes else (lambda: desk.stripe.bank_declines(FIRST))
    desk.runs("api", hourly(), hourly(after=2 * DAY, name="hourly later"), new_link(after=2 * DAY))
    desk.runs(
        "worker",
        worker(ticks=1, after=MINUTE),
        watch(after=2 * HOUR),
        watch(after=3 * DAY + HOUR, name="at last"),
    )
    desk.runs("other worker", worker(after=3 * DAY + 2 * HOUR))
    desk.outside(lambda: desk.stripe.pay_by_bank(FIRST), name="customer", after=HOUR)
    a_moment_before = 3 * DAY - timedelta(seconds=5)
    desk.stripe.slow_look_at = int((NOON + a_moment_before).timestamp())
    desk.runs("door", event(FIRST, "async_payment_succeeded", after=3 * DAY))
    desk.runs("slow door", event(FIRST, after=a_moment_before))
    desk.outside(bank, name="bank", after=3 * DAY)
    await world.quiesce()


@simulate(schema=metadata, executions=10, always=STRICT, eventually=UNTIL_SOMEBODY_ASKS)
async def the_wrong_amount(world: World) -> None:
    """Less comes than was asked for, and everybody sees it at once."""
    desk = desk_with_deal(world)
    short = world.choose("short by, minor", [1, 49_999])
    desk.runs(
        "worker",
        hourly(),
        worker(ticks=1, after=MINUTE),
        watch(after=HOUR),
        worker(after=2 * HOUR, name="later"),
    )
    desk.outside(lambda: desk.stripe.pay(FIRST, amount_minor=50_000 - short), name="customer", after=HOUR)
    desk.runs("api", event(FIRST, deliveries=2, after=HOUR), hourly(after=2 * HOUR, name="cron"))
    await world.quiesce()


@simulate(
    schema=metadata,
    executions=10,
    always=[*STRICT, HALVES_STAY_HALVES],
    eventually=[*WHATEVER, pages_ask_what_the_crm_says, THE_NEWEST_WORD_COUNTS],
)
async def the_crm_changes_its_mind(world: World) -> None:
    """Two changes of the deal overtake each other while the page is open; the customer may pay the old price first."""
    desk = desk_with_deal(world)
    desk.runs(
        "worker", hourly(), worker(ticks=1, after=MINUTE), worker(after=2 * HOUR, ticks=4, name="later")
    )
    desk.runs("api", crm(after=HOUR, at_the_door=True, version=3, amount_minor=120_000, name="version 3"))
    desk.runs(
        "other api", crm(after=HOUR, at_the_door=True, version=2, amount_minor=110_000, name="version 2")
    )
    if world.choose("she pays the old price", [False, True]):
        desk.outside(desk.pays, name="customer", after=HOUR)
        desk.runs("end", watch(after=5 * HOUR), worker(after=6 * HOUR, name="at the end"))
    await world.quiesce()


@simulate(
    schema=metadata,
    executions=10,
    always=[*STRICT, OLD_PRICES_ARE_WITHDRAWN],
    eventually=[*WHATEVER, pages_ask_what_the_crm_says],
)
async def the_crm_dies(world: World) -> None:
    """The process that hears of another amount is killed at any moment; the CRM tells once more."""
    desk = desk_with_deal(world)
    desk.runs(
        "worker", hourly(), worker(ticks=1, after=MINUTE), worker(after=2 * HOUR, ticks=4, name="later")
    )
    desk.runs("api", crm(after=HOUR, at_the_door=True, version=3, amount_minor=120_000))
    world.inject(Crash("api"))
    await world.quiesce()


@simulate(schema=metadata, executions=20, always=STRICT, eventually=WHATEVER)
async def the_deal_is_lost(world: World) -> None:
    """The CRM closes the deal while its page is open, or being made, and a cron runs."""
    desk = desk_with_deal(world)
    desk.stripe.trouble[1] = world.choose("the first creation", ("late", "lost answer", "kept 500", ""))
    desk.runs("worker", hourly(), worker(after=MINUTE, ticks=6))
    desk.runs("api", crm(after=timedelta(seconds=1), status=DealStatus.LOST, version=3, deliveries=2))
    await world.quiesce()


@simulate(
    schema=metadata,
    executions=20,
    always=[*STRICT, ONE_ROW_PER_DEAL],
    eventually=[*WHATEVER, nobody_is_asked_for_more],
)
async def a_new_deal(world: World) -> None:
    """The CRM tells of a deal that nobody knew, twice at once, and the process that hears it may die; no cron runs."""
    desk = Desk(world)
    closes = world.choose("it closes in, days", [10, 60])
    close_date = int((NOON + closes * DAY).timestamp())
    desk.runs("api", crm(deliveries=2, at_the_door=True, version=1, close_date=close_date))
    desk.runs("worker", worker(after=10 * MINUTE, ticks=3))
    world.inject(Crash("api"))
    await world.quiesce()


@simulate(schema=metadata, executions=10, always=STRICT, eventually=[*WHATEVER, no_link_leads_nowhere])
async def reminded(world: World) -> None:
    """Two daily runs and a watch look at one page that will close in five hours; the bot is out of order until it has closed, or not."""
    desk = desk_with_deal(world)
    desk.bot_works = world.choose("the bot works", [True, False])
    desk.runs("worker", hourly(), worker(ticks=1, after=MINUTE))
    desk.runs("api", daily(after=18 * HOUR), watch(after=18 * HOUR))
    desk.runs("other api", daily(after=18 * HOUR, name="other daily"))
    desk.outside(lambda: setattr(desk, "bot_works", True), name="the bot is mended", after=23 * HOUR + MINUTE)
    desk.runs("end", watch(after=DAY), worker(after=DAY + HOUR, ticks=4, name="at the end"))
    await world.quiesce()


@simulate(schema=metadata, executions=20, always=STRICT, eventually=WHATEVER)
async def several_deals(world: World) -> None:
    """Deals of drawn amounts and schedules; each customer pays at some hour; crons, a watch and the worker run all day."""
    desk = Desk(world)
    for number in range(world.choose("deals", [2, 3])):
        amount = world.choose(f"deal {number}, minor", [100_000, 99_999, 2])
        desk.has_deal(
            number + 1, amount_minor=amount, schedule=world.choose(f"deal {number}", ["50/50", "single"])
        )
    desk.stripe.trouble[world.choose("which creation", [1, 2, 3])] = world.choose(
        "its trouble", AT_A_CREATION
    )
    desk.runs("api", hourly(), hourly(after=DAY, name="next day"))
    desk.runs("other api", hourly(name="other hourly"), watch(after=DAY))
    desk.runs("worker", worker(after=MINUTE, ticks=6), worker(after=DAY + HOUR, ticks=3, name="later"))
    desk.outside(
        desk.pays, name="customer", after=2 * HOUR, every=HOUR, times=world.choose("payments", [1, 2])
    )
    desk.runs("end", watch(after=2 * DAY), worker(after=2 * DAY + HOUR, ticks=3, name="at the end"))
    world.inject(Crash("other api"))
    await world.quiesce()


@simulate(schema=metadata, executions=20, always=ALWAYS, eventually=WHATEVER)
async def late_money_and_an_offer(world: World) -> None:
    """We hear that an old page has been paid after all, at the moment at which a cron offers the next one."""
    desk = desk_with_deal(world)
    desk.has_expired_claim()
    desk.runs("api", event(FIRST, after=timedelta(0)))
    desk.runs("other api", hourly())
    desk.runs("worker", worker(after=10 * MINUTE, ticks=3))
    await world.quiesce()


ALL_OF_THEM = (
    offered_at_once,
    a_slow_creation,
    one_was_asleep,
    told_no_too_late,
    the_day_after,
    paid_by_card,
    paid_by_bank,
    the_wrong_amount,
    the_crm_changes_its_mind,
    the_crm_dies,
    the_deal_is_lost,
    a_new_deal,
    reminded,
    several_deals,
    late_money_and_an_offer,
)
