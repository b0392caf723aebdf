"""Scenarios of what decides about tickets: terms, dates and invitations, and rows that an import has left."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import CheckConstraint, MetaData

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
    VIP,
    BoxOffice,
    operator,
    processing,
    relay,
    webhook,
)
from scenarios.flows.ticket_claims import (
    A_PERSON_IS_TOLD,
    ALL_IS_WELL,
    ALWAYS,
    BOTH_ARE_BOUND,
    CALM,
    EVENTUALLY,
    GIVEN_UP_AFTER_TEN,
    INVITATIONS_ARE_SHOWN,
    NO_AWARD_FAILS,
    NO_TICKETS_FOR_ONESELF,
    ONE_EVENT_PER_FRIEND,
    ONE_INVITATION_PER_FRIEND,
    tickets_were_given,
)
from simulator import Crash, World, restarted, simulate
from simulator.actors import Actor


def imported(*tables: str) -> MetaData:
    """Our tables as an import may have left them: these without their checks."""
    copy = MetaData(naming_convention=metadata.naming_convention)
    for table in metadata.sorted_tables:
        copied = table.to_metadata(copy)
        if table.name in tables:
            copied.constraints -= {one for one in copied.constraints if isinstance(one, CheckConstraint)}
    return copy


@simulate(
    schema=metadata,
    always=[*CALM, ONE_INVITATION_PER_FRIEND, ONE_EVENT_PER_FRIEND, INVITATIONS_ARE_SHOWN],
    eventually=EVENTUALLY,
    sometimes=[restarted("bot")],
)
async def two_links(world: World) -> None:
    """A friend opens the links of two people, and their own; one of the bots may die. Then they pay."""
    office = BoxOffice(world)
    office.has_contest()

    def binds(referrer: int) -> Actor:
        async def bind(service: Service) -> None:
            await service.bind_referral(referrer_id=referrer, referred_id=BUYER)

        return operator(bind, name=f"link of {referrer}")

    office.has_order("o-1", created_at=NOON_S + 3600)
    office.runs("bot", binds(REFERRER))
    office.runs("other bot", binds(ANOTHER), binds(BUYER))
    office.runs("api", webhook("o-1", deliveries=1, after=HOUR))
    office.runs("worker", relay(ticks=1, after=HOUR + MINUTE))
    world.inject(Crash("bot"))
    await world.quiesce()


@simulate(schema=metadata, always=[INVITATIONS_ARE_SHOWN], eventually=[BOTH_ARE_BOUND])
async def two_strangers_invite_each_other(world: World) -> None:
    """Two whom nobody knows yet open each other's links at once."""
    office = BoxOffice(world)
    office.has_contest()
    for referrer, friend in ((21, 22), (22, 21)):

        async def bind(service: Service, referrer: int = referrer, friend: int = friend) -> None:
            await service.bind_referral(referrer_id=referrer, referred_id=friend)

        office.runs(f"bot {friend}", operator(bind, name=f"link of {referrer}"))
    await world.quiesce()


@simulate(
    schema=metadata,
    always=[*ALWAYS, NO_AWARD_FAILS],
    eventually=[*ALL_IS_WELL, A_PERSON_IS_TOLD],
    sometimes=[tickets_were_given],
)
async def terms_and_dates(world: World) -> None:
    """One order of an invited buyer, on either side of every border that the contest's terms draw."""
    office = BoxOffice(world)
    contest = replace(JANUARY, ends_at=NOON_S - 20)
    office.has_contest(contest)
    borders = (contest.ends_at - 1, contest.ends_at, contest.starts_at, contest.starts_at - 1)
    ordered_at = world.choose("ordered at", borders)
    completed_at = world.choose("paid so much later", (0, -300, -301)) + ordered_at
    tariff = world.choose("tariff", (TARIFF, UNNAMED))
    office.has_invitation(bound_at=ordered_at - 60)
    office.has_bought("o-1", tariff=tariff, ordered_at=ordered_at, completed_at=completed_at)
    office.runs("bot", processing(office, "o-1"))
    office.runs("worker", relay(ticks=1))
    await world.quiesce()


@simulate(
    schema=metadata, always=[*ALWAYS, NO_AWARD_FAILS], eventually=ALL_IS_WELL, sometimes=[tickets_were_given]
)
async def who_is_a_friend(world: World) -> None:
    """One order of a buyer who was invited long ago, just now or afterwards, and who may have bought before, and given back."""
    office = BoxOffice(world)
    office.has_contest()
    ordered_at, window_s = NOON_S - 60, JANUARY.attribution_window_days * DAY_S
    bound_ago = world.choose("bound so long before", (60, 0, -1, window_s, window_s + 1))
    office.has_invitation(bound_at=ordered_at - bound_ago)
    earlier = world.choose("an earlier payment", (None, 1, DAY_S))
    if earlier is not None:
        dates = {"created_at": ordered_at - earlier, "paid_at": ordered_at - earlier}
        if world.choose("it went back", (False, True)):
            dates["completed_at"] = ordered_at - earlier
            office.has_order("o-0", tariff=UNNAMED, status="refunded", **dates)
        else:
            at = ordered_at - earlier
            office.has_bought("o-0", tariff=UNNAMED, ordered_at=at, completed_at=at)
    office.has_bought("o-1", ordered_at=ordered_at, completed_at=ordered_at)
    office.runs("bot", processing(office, "o-1"))
    office.runs("worker", relay(ticks=1))
    await world.quiesce()


@simulate(schema=metadata, always=ALWAYS, eventually=ALL_IS_WELL)
async def an_operator_awards(world: World) -> None:
    """By hand and too early: one order will be delivered, and the other one never, for its buyer has everything already."""
    office = BoxOffice(world)
    office.has_contest()
    for order, user in (("o-1", BUYER), ("o-2", VIP)):
        office.has_order(order, user=user, status="paid", paid_at=NOON_S)
        office.runs(f"bot {user}", processing(office, order))

    async def award(service: Service) -> None:
        await service.award("o-1")
        await service.award("o-2")

    office.runs("console", operator(award, name="operator"))
    office.runs("worker", relay(ticks=1, after=MINUTE))
    await world.quiesce()


@simulate(
    schema=imported("user_referrals", "ref_events", "ticket_ledger"),
    always=[*CALM, NO_TICKETS_FOR_ONESELF],
    eventually=ALL_IS_WELL,
    sometimes=[tickets_were_given],
)
async def somebody_invited_themselves(world: World) -> None:
    """A row that our tables would refuse: it was imported, and the checks were not."""
    office = BoxOffice(world)
    office.has_contest()
    office.has_invitation(referrer=BUYER, friend=BUYER)
    office.has_bought("o-1")
    office.runs("bot", processing(office, "o-1"))
    office.runs("worker", relay(ticks=1))
    await world.quiesce()


@simulate(schema=imported("contest_tickets"), always=ALWAYS, eventually=[GIVEN_UP_AFTER_TEN], executions=20)
async def terms_that_cannot_be(world: World) -> None:
    """An imported contest takes tickets away for an order: no award of it can ever be written."""
    office = BoxOffice(world)
    office.has_contest(replace(JANUARY, tickets={TARIFF: -5}))
    office.has_bought("o-1")
    office.runs("bot", processing(office, "o-1"))
    office.runs("worker", relay(ticks=14, every=HOUR))
    await world.quiesce()


ALL_OF_THEM = (
    two_links,
    two_strangers_invite_each_other,
    terms_and_dates,
    who_is_a_friend,
    an_operator_awards,
    somebody_invited_themselves,
    terms_that_cannot_be,
)
