"""What the staff look at and press, behind their token: awards that wait, dead letters, and a deal's new link."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import TypeAdapter

from reference.flows.dead_letters import PAGE_MAX, DeadLetters
from reference.flows.tickets_statistics import RetryStatistics
from reference.http.endpoint import Call, Endpoint, Parameter
from reference.http.forms import DealId, LetterToRetry, Line, Operator, PageSize
from reference.http.guards import Bearer
from reference.http.problems import NOT_FOUND, NOT_NOW, PROVIDER_REFUSED, Problem, absent
from reference.http.settings import HttpSettings
from reference.model_rest import Offered, PaymentKind


@dataclass(frozen=True, slots=True)
class Retried:
    """A dead letter is due again.

    Args:
        key: its key.
    """

    key: str


def endpoints(settings: HttpSettings, *, deals: bool) -> list[Endpoint]:
    """The staff's routes, if they have a token; `deals`: whether there is a Stripe to make links at."""
    if not settings.admin_token:
        return []
    staff = Bearer("admin", settings.admin_token)
    return [_awards(staff), _letters(staff), _retry(staff), *([_new_link(staff)] if deals else [])]


def _awards(staff: Bearer) -> Endpoint:
    return Endpoint(
        method="GET",
        path="/v1/admin/award-retry-stats",
        name="awardRetryStatistics",
        summary="Awards that wait, that were given up, and what has been given",
        work=_statistics,
        answer=TypeAdapter(RetryStatistics),
        guard=staff,
        problems=(NOT_NOW,),
    )


def _letters(staff: Bearer) -> Endpoint:
    return Endpoint(
        method="GET",
        path="/v1/admin/dead-letters",
        name="deadLetters",
        summary="Jobs that were given up, oldest first",
        work=_list,
        answer=TypeAdapter(DeadLetters),
        guard=staff,
        parameters=(
            Parameter("limit", "query", TypeAdapter(PageSize), f"1 to {PAGE_MAX}.", default=100),
            Parameter("after", "query", TypeAdapter(Line), "`next_after` of the page before.", default=None),
        ),
        problems=(NOT_NOW,),
    )


def _retry(staff: Bearer) -> Endpoint:
    return Endpoint(
        method="POST",
        path="/v1/admin/dead-letters/retry",
        name="retryDeadLetter",
        summary="Have a job that was given up tried once more",
        description="One attempt; if it fails too, the job is given up again. Who asked is on record.",
        work=_try_again,
        answer=TypeAdapter(Retried),
        guard=staff,
        body=TypeAdapter(LetterToRetry),
        problems=(NOT_FOUND, NOT_NOW),
    )


def _new_link(staff: Bearer) -> Endpoint:
    return Endpoint(
        method="POST",
        path="/v1/admin/deals/{deal_id}/payments/{kind}/new-link",
        name="newPaymentLink",
        summary="A new page for a deal's payment, now",
        description=(
            "Closes the open page first, at Stripe; what turns out to be paid stays paid, and is said in `result`. Pressed twice it "
            "closes one page and opens one. After a 503 the same request may be repeated."
        ),
        work=_link,
        answer=TypeAdapter(Offered),
        guard=staff,
        body=TypeAdapter(Operator),
        parameters=(
            Parameter("deal_id", "path", TypeAdapter(DealId), "The CRM's."),
            Parameter("kind", "path", TypeAdapter(PaymentKind), "Which of its payments."),
        ),
        problems=(NOT_FOUND, PROVIDER_REFUSED, NOT_NOW),
    )


async def _statistics(call: Call) -> RetryStatistics:
    return await call.service.award_retry_statistics()


async def _list(call: Call) -> DeadLetters:
    return await call.service.dead_letters(limit=call.parameters["limit"], after=call.parameters["after"])


async def _try_again(call: Call) -> Retried:
    wanted: LetterToRetry = call.body
    call.noted.update(job=wanted.key, operator=wanted.operator)
    if not await call.service.retry_dead_letter(wanted.key, operator=wanted.operator):
        raise Problem(NOT_FOUND, "no dead letter has this key; somebody may have been quicker")
    return Retried(wanted.key)


async def _link(call: Call) -> Offered:
    deal_id, kind = call.parameters["deal_id"], call.parameters["kind"]
    call.noted.update(deal_id=deal_id, kind=kind.value, operator=call.body.operator)
    try:
        offered = await call.service.new_payment_link(deal_id, kind, operator=call.body.operator)
    except LookupError as error:
        raise absent(error, "no such deal") from None
    call.noted.update(claim_id=offered.claim_id, result=offered.result.value)
    return offered
