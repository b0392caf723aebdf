"""What providers and the CRM tell us: let in by what proves them, written down in one short transaction, answered with 200.

Nobody is asked anything here and nothing is given: a provider that is slow would make our answer slow, and a slow answer is repeated. A
worker does it, from the row. That row's key is what the news is about, so a repetition meets the first one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from reference.flows.inbox_rows import Receipt
from reference.http.endpoint import Call, Endpoint
from reference.http.forms import Deal, MobizonReport, PlategaCallback, StripeEvent, YooKassaNotification
from reference.http.guards import Bearer, SharedSecret, Source
from reference.http.problems import NOT_NOW
from reference.http.seals import MobizonSeal, StripeSeal
from reference.http.settings import HttpSettings
from reference.service import Service


@dataclass(frozen=True, slots=True)
class Received:
    """The answer to news.

    Args:
        receipt: what the delivery was to us; whatever it says, it need not be sent again.
    """

    receipt: Receipt


_RECEIVED = TypeAdapter(Received)
_KEPT = "Written down and answered; a worker asks the provider what is true. 200 also for a repetition, and for what nobody can make sense of."

Receive = Callable[[Service, Mapping[str, Any]], Awaitable[Receipt]]


def endpoints(settings: HttpSettings) -> list[Endpoint]:
    """The routes of those whose proof is set."""
    found = []
    if settings.yookassa_networks:
        found += [
            _yookassa(settings, "/yookassa/webhook", "yookassaWebhook", "YooKassa's notification"),
            # The same notification, sent to the bot's API: it meets the other in one row, and the award is the order's own job.
            _yookassa(
                settings, "/v1/payments/webhook", "paymentsWebhook", "YooKassa's notification, for tickets"
            ),
        ]
    if settings.platega_merchant_id and settings.platega_secret:
        found.append(_platega(settings))
    if settings.stripe_secrets:
        found.append(_stripe(settings))
    if settings.mobizon_secret:
        found.append(_mobizon(settings))
    if settings.crm_token:
        found.append(_crm(settings))
    return found


def _yookassa(settings: HttpSettings, path: str, name: str, summary: str) -> Endpoint:
    return Endpoint(
        method="POST",
        path=path,
        name=name,
        summary=summary,
        description=f"{_KEPT} There is no signature: it has to come from one of YooKassa's published addresses.",
        work=_keeping(Service.yookassa_webhook_received, "yookassa"),
        answer=_RECEIVED,
        guard=Source(settings.yookassa_networks, settings.trusted_proxies),
        body=TypeAdapter(YooKassaNotification),
        any_object=True,
        problems=(NOT_NOW,),
    )


def _platega(settings: HttpSettings) -> Endpoint:
    return Endpoint(
        method="POST",
        path="/platega/webhook",
        name="plategaWebhook",
        summary="Platega's callback",
        description=_KEPT,
        work=_keeping(Service.platega_webhook_received, "platega"),
        answer=_RECEIVED,
        guard=SharedSecret(
            {"X-MerchantId": settings.platega_merchant_id, "X-Secret": settings.platega_secret}
        ),
        body=TypeAdapter(PlategaCallback),
        any_object=True,
        problems=(NOT_NOW,),
    )


def _stripe(settings: HttpSettings) -> Endpoint:
    return Endpoint(
        method="POST",
        path="/stripe/webhook",
        name="stripeWebhook",
        summary="Stripe's event",
        description=f"{_KEPT} Events about anything but Checkout Sessions are answered and forgotten.",
        work=_keeping(Service.stripe_webhook_received, "stripe"),
        answer=_RECEIVED,
        body=TypeAdapter(StripeEvent),
        any_object=True,
        seal=StripeSeal(settings.stripe_secrets, settings.stripe_tolerance_s),
        problems=(NOT_NOW,),
    )


def _mobizon(settings: HttpSettings) -> Endpoint:
    return Endpoint(
        method="POST",
        path="/mobizon/webhook",
        name="mobizonWebhook",
        summary="Mobizon's delivery report",
        description="Kept once per event. It never changes whether a message counts as sent.",
        work=_report,
        answer=_RECEIVED,
        body=TypeAdapter(MobizonReport),
        any_object=True,
        seal=MobizonSeal(settings.mobizon_secret),
        problems=(NOT_NOW,),
    )


def _crm(settings: HttpSettings) -> Endpoint:
    return Endpoint(
        method="POST",
        path="/crm/webhook",
        name="crmWebhook",
        summary="The CRM's word on a deal",
        description="Taken over by version; a job offers what is due. An older version than ours changes nothing.",
        work=_deal,
        answer=TypeAdapter(DealKnown),
        guard=Bearer("crm", settings.crm_token),
        body=TypeAdapter(Deal),
        problems=(NOT_NOW,),
    )


def _keeping(receive: Receive, provider: str) -> Callable[[Call], Awaitable[Received]]:
    async def work(call: Call) -> Received:
        receipt = await receive(call.service, call.body)
        call.noted.update(provider=provider, receipt=receipt.value, **_about(call.body))
        return Received(receipt)

    return work


def _about(body: Mapping[str, Any]) -> dict[str, Any]:
    """What a log may say of news: what it is about, in the provider's names; nothing of who paid or how."""
    data = body.get("data")
    about = data.get("object") if isinstance(data, Mapping) else body.get("object")
    named = {
        "event": body.get("event") or body.get("type") or body.get("status"),
        "object_id": about.get("id") if isinstance(about, Mapping) else body.get("id"),
    }
    return {name: value for name, value in named.items() if isinstance(value, str) and len(value) <= 200}


async def _report(call: Call) -> Received:
    new = await call.service.mobizon_webhook(call.body)
    data = call.body.get("data")
    message = data.get("messageId") if isinstance(data, Mapping) else None
    call.noted.update(provider="mobizon", provider_message_id=str(message)[:200])
    return Received(Receipt.NEW if new else Receipt.DONE)


@dataclass(frozen=True, slots=True)
class DealKnown:
    """How we know a deal now.

    Args:
        deal_id: the CRM's.
        version: the latest that we have heard of.
    """

    deal_id: int
    version: int


async def _deal(call: Call) -> DealKnown:
    deal = await call.service.crm_webhook_received(call.body.value())
    call.noted.update(deal_id=deal.id, version=deal.version)
    return DealKnown(deal.id, deal.version)
