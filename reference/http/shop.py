"""What buyers and visitors start: a purchase, by way of the bot, and a proftest lead, from a page that anybody may open."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import TypeAdapter

from reference.flows.leads import FormError
from reference.flows.progress import Progress
from reference.flows.sales import CreateKeyReusedError, Offer, SaleRefusedError
from reference.http.endpoint import Call, Endpoint, Parameter
from reference.http.forms import IdempotencyKey, Lead, Line, Purchase
from reference.http.guards import Bearer
from reference.http.problems import (
    INVALID,
    KEY_REUSED,
    NOT_FOUND,
    NOT_NOW,
    PROVIDER_REFUSED,
    REFUSED,
    Mistake,
    Problem,
    absent,
)
from reference.http.settings import HttpSettings

_PROGRESS = TypeAdapter(Progress)


@dataclass(frozen=True, slots=True)
class LeadTaken:
    """The answer to a form.

    Args:
        lead_id: ours; the same one for the same form.
    """

    lead_id: str


def endpoints(settings: HttpSettings) -> list[Endpoint]:
    """The bot's routes if it has a token, and the visitors'."""
    return [*(_bots(settings.bot_token) if settings.bot_token else ()), _LEAD]


def _bots(token: str) -> list[Endpoint]:
    bot = Bearer("bot", token)
    buy = Endpoint(
        method="POST",
        path="/v1/payments",
        name="buy",
        summary="Buy a subscription, or extend it",
        description=(
            "Makes one payment per `Idempotency-Key` and returns the page to pay on. Repeated with the same key and the same body "
            "it returns the same payment, also after a 503, when nobody knows whether the provider has made it."
        ),
        work=_buy,
        answer=_PROGRESS,
        guard=bot,
        body=TypeAdapter(Purchase),
        parameters=(
            Parameter(
                "Idempotency-Key",
                "header",
                TypeAdapter(IdempotencyKey),
                "The same for every attempt of one intention to buy: the message with the button, not the tap on it.",
            ),
        ),
        problems=(REFUSED, KEY_REUSED, PROVIDER_REFUSED, NOT_NOW),
    )
    look = Endpoint(
        method="GET",
        path="/v1/payments/{payment_id}",
        name="payment",
        summary="How far a payment has come",
        work=_look,
        answer=_PROGRESS,
        guard=bot,
        parameters=(Parameter("payment_id", "path", TypeAdapter(Line), "Ours."),),
        problems=(NOT_FOUND, NOT_NOW),
    )
    return [buy, look]


async def _buy(call: Call) -> Progress:
    wanted: Purchase = call.body
    call.noted.update(user_id=wanted.user_id, tariff_id=wanted.tariff_id)
    if wanted.provider not in call.service.providers:
        raise Problem(REFUSED, f"payments by {wanted.provider} are not taken here")
    offer = Offer(
        create_key=call.parameters["Idempotency-Key"],
        user_id=wanted.user_id,
        tariff_id=wanted.tariff_id,
        provider=wanted.provider,
    )
    try:
        payment = await call.service.create_payment(offer)
    except SaleRefusedError as refused:
        call.noted["refusal"] = refused.why.value
        raise Problem(REFUSED, f"not for sale to this user: {refused.why.value}") from None
    except CreateKeyReusedError:
        raise Problem(
            KEY_REUSED, "a payment was made with this key, for another user, tariff or provider"
        ) from None
    call.noted.update(payment_id=payment.id)
    return await call.service.progress(payment.id)


async def _look(call: Call) -> Progress:
    payment_id = call.parameters["payment_id"]
    call.noted.update(payment_id=payment_id)
    try:
        return await call.service.progress(payment_id)
    except LookupError as error:
        raise absent(error, "no such payment") from None


async def _submit(call: Call) -> LeadTaken:
    form: Lead = call.body
    try:
        submitted = await call.service.submit_lead(form.value())
    except FormError as error:
        raise Problem(INVALID, "one thing is wrong", mistakes=[Mistake("", str(error))]) from None
    call.noted.update(lead_id=submitted.lead_id, made=submitted.made)
    return LeadTaken(submitted.lead_id)  # whether it is the first one is nobody's business out there


_LEAD = Endpoint(
    method="POST",
    path="/api/landing/proftest",
    name="submitLead",
    summary="A visitor's answers to the test",
    description="Taken; an SMS and an e-mail follow in ten minutes. The same form again is the same lead, and no further message.",
    work=_submit,
    answer=TypeAdapter(LeadTaken),
    status=202,
    body=TypeAdapter(Lead),
    problems=(NOT_NOW,),
)
