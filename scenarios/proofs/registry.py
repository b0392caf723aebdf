"""The five flows that take money or speak to people, and the claims about them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import cast

from reference import Provider, ProviderPayment, ProviderStatus, Service
from reference.flows.leads import compose, digits, lead_id_for
from scenarios.flows import box_office, deals, leads, shop, ticket_claims
from scenarios.flows.deals_claims import STRICT, WHATEVER
from scenarios.flows.leads_claims import every_lead_has_its_mail, one_mail_per_form, one_sms_per_lead
from scenarios.proofs.flow import Flow, House, Proof, all_threes
from scenarios.wiring import DATABASE_ERRORS
from simulator import Cron, World
from simulator.actors import Actor
from simulator.oracles import SqlClaim

HOUR = timedelta(hours=1)
PAYMENT, ORDER = "p-1", "o-1"


def _sold(world: World) -> House:
    house = shop.Shop(world)
    house.has_payment(PAYMENT)
    return house


def _paid(world: World) -> House:
    """As `confirm` leaves it: paid, with the job that delivers."""
    house = shop.Shop(world)
    house.has_subscription()
    house.outside.records[PAYMENT] = ProviderPayment(ProviderStatus.SUCCEEDED, shop.PRICE_MINOR, "RUB")
    now, insert = int(shop.NOON.timestamp()), world.database.insert
    insert(
        "payments",
        id=PAYMENT,
        create_key=f"tap:{PAYMENT}",
        provider=Provider.YOOKASSA.value,
        provider_payment_id=PAYMENT,
        user_id=shop.USER,
        tariff_id=shop.TARIFF,
        amount_minor=shop.PRICE_MINOR,
        duration_sec=int(shop.MONTH.total_seconds()),
        status="paid",
        created_at=now,
        paid_at=now,
    )
    job = {"created_at": now, "next_at": now}
    insert("outbox", dedupe_key=f"ensure:{PAYMENT}", topic="ensure", payment_id=PAYMENT, **job)
    return house


_PATHS: Mapping[str, Callable[[House], Actor]] = {
    "webhook": lambda _house: shop.webhook(PAYMENT),
    "polling": lambda _house: shop.polling(PAYMENT),
    "sweep": lambda _house: shop.sweep(),
    "ensure": lambda _house: _once(_deliver, name="ensure"),
}


async def _deliver(service: Service) -> None:
    """What the relay does with the job of a paid payment."""
    await service.ensure(PAYMENT)


def _bought(world: World) -> House:
    office = box_office.BoxOffice(world)
    office.has_contest()
    office.has_invitation()
    office.has_bought(ORDER)
    return office


def _due(world: World) -> House:
    return deals.desk_with_deal(world)


def _left(world: World) -> House:
    """A lead of noon to whom nobody has written; the mail is due, and so is the SMS in ten minutes."""
    page, insert = leads.Landing(world), world.database.insert
    now, phone, answers = int(leads.NOON.timestamp()), digits(leads.PHONE), json.dumps({"1": "a"})
    lead = lead_id_for(phone, leads.EMAIL, answers)
    insert(
        "landing_leads", id=lead, name="Ann", phone=phone, email=leads.EMAIL, answers=answers, created_at=now
    )
    due = now + int(leads.DUE.total_seconds())
    for row in compose(lead, "Ann", phone, leads.EMAIL, now=now, due_at=due):
        insert("messages", **row)
    return page


async def _all_that_is_left(service: Service) -> None:
    """What the reference's worker does in its rounds: events, sessions that somebody closed, what is due, jobs."""
    await service.work_checkout_inbox()
    await service.watch_sessions()
    await service.offer_what_is_due()
    await service.relay()


def _once(program: object, *, name: str, after: timedelta = timedelta(0)) -> Actor:
    return Cron(program, every=HOUR, after=after, tolerates=DATABASE_ERRORS, name=name)  # type: ignore[arg-type]


def _processing(house: House) -> Actor:
    return box_office.processing(cast("box_office.BoxOffice", house), ORDER)


FLOWS: Sequence[Flow] = (
    Flow(
        name="purchase",
        what="a payment that the provider has taken and we have not heard of; its buyer has no subscription",
        begin=_sold,
        paths={path: _PATHS[path] for path in ("webhook", "polling", "sweep")},
        threes=all_threes(("webhook", "polling", "sweep")),
        end=lambda: shop.relay(after=HOUR, ticks=1),
        always=shop.ALWAYS,
        eventually=shop.EVENTUALLY,
        guard="completed_with_the_grant",
        caught_by="one_grant_per_paid_payment",
        caught_among=("webhook", "polling"),
    ),
    Flow(
        name="extension",
        what="a paid payment that is not delivered; its buyer has a subscription that runs",
        begin=_paid,
        paths=_PATHS,
        threes=all_threes(_PATHS),
        end=lambda: shop.relay(after=HOUR, ticks=1),
        always=shop.ALWAYS,
        eventually=shop.EVENTUALLY,
        guard="delivery_is_one_transaction",
        caught_by="expiry_is_fold_of_ledger",
        caught_among=("webhook", "polling"),
    ),
    Flow(
        name="tickets",
        what="a completed order of an invited buyer, in a contest that runs",
        begin=_bought,
        paths={
            "webhook": lambda _house: box_office.webhook(ORDER, deliveries=1),
            "bot": _processing,
            "scheduler": lambda _house: box_office.scheduler(),
            "relay": lambda _house: box_office.relay(ticks=1),
        },
        threes=all_threes(("webhook", "bot", "scheduler", "relay")),
        end=lambda: box_office.relay(ticks=1, after=HOUR),
        always=ticket_claims.ALWAYS,
        eventually=ticket_claims.EVENTUALLY,
        guard="ticket_line_keys",
        caught_by="one_award_per_order_and_reason",
        caught_among=("webhook", "bot"),
    ),
    Flow(
        name="sms",
        what="a lead of ten minutes ago to whom nobody has written: the mail and the SMS are due",
        begin=_left,
        paths={
            "timer": lambda _house: leads.form_and_timer(),
            "sweep": lambda _house: leads.sweep(),
            "recovery": lambda _house: _once(Service.recover_messages, name="recovery", after=leads.DUE),
        },
        threes=all_threes(("timer", "sweep", "recovery")),
        end=lambda: leads.sweep(after=HOUR, ticks=3, every=HOUR),
        always=leads.ALWAYS,
        eventually=[*leads.EVENTUALLY, one_sms_per_lead, one_mail_per_form, every_lead_has_its_mail],
        guard="claim_of_a_message",
        caught_by="no_message_in_limbo_without_a_date",  # the first of several that fail
        caught_among=("timer", "sweep"),
    ),
    Flow(
        name="rest",
        what="a deal whose deposit is settled and whose rest is due",
        begin=_due,
        paths={
            "hourly": lambda _house: deals.hourly(),
            "daily": lambda _house: deals.daily(),
            "crm": lambda _house: deals.crm(),
            "operator": lambda _house: deals.new_link(),
        },
        threes=[("hourly", "daily", "crm"), ("hourly", "daily", "operator")],  # those that end within minutes
        end=lambda: Cron(
            _all_that_is_left, every=HOUR, after=HOUR, ticks=2, tolerates=deals.TOLERATED, name="worker"
        ),
        always=deals.ALWAYS,
        eventually=[
            *WHATEVER,
            *(claim for claim in STRICT if not isinstance(claim, SqlClaim)),  # what they count stays counted
        ],
        guard="live_claim_key",
        caught_by="one_rest_session_per_deal",
        caught_among=("hourly", "daily"),
    ),
)
ALL: Sequence[Proof] = tuple(proof for flow in FLOWS for proof in flow.proofs())


def named(names: Sequence[str]) -> list[Proof]:
    """These proofs, or all of them; the name of a flow stands for all of its own.

    Raises:
        LookupError: there is none of a name.
    """
    wanted = [proof for proof in ALL if not names or proof.name in names or proof.flow.name in names]
    known = {proof.name for proof in ALL} | {flow.name for flow in FLOWS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise LookupError(
            f"there is no proof {', '.join(unknown)}; there are: {', '.join(p.name for p in ALL)}"
        )
    return wanted
