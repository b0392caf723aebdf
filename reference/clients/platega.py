"""Platega's transactions: without any idempotency, so that a create is sent once and a lost answer is a transaction nobody can name.

It is not looked for either. Platega's export could find it by our ``payload``, but it does not give the address of its page, and a
transaction that nobody can open is paid by nobody. The buyer needs another one; both carry our id, the flow takes the first
one that is paid, and money for the other goes back. What nobody pays ends after a quarter of an hour.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from reference.clients.errors import MissingError, of_status
from reference.clients.http import Question, Reply, Wire, as_json, word
from reference.clients.settings import Patience, PlategaAccount
from reference.clients.yookassa import minor_units
from reference.model import ProviderPayment, ProviderStatus
from reference.ports import CreatedPayment, PaymentRequest, RemoteError

if TYPE_CHECKING:
    import httpx

_STATUSES = {
    "PENDING": ProviderStatus.PENDING,
    "CONFIRMED": ProviderStatus.SUCCEEDED,
    "CANCELED": ProviderStatus.CANCELED,
    "CHARGEBACKED": ProviderStatus.CHARGED_BACK,
    # In older documentation, and cheap to understand.
    "EXPIRED": ProviderStatus.CANCELED,
    "FAILED": ProviderStatus.CANCELED,
}


class PlategaPayments:
    """`reference.ports.PaymentProvider` at Platega."""

    def __init__(self, account: PlategaAccount, http: httpx.AsyncClient, *, patience: Patience) -> None:
        self._wire = Wire(
            "platega",
            http,
            base_url=account.base_url,
            judge=_judge,
            patience=patience,
            headers={"x-merchantid": account.merchant_id, "x-secret": account.secret},
            secrets=(account.secret,),
        )

    def __repr__(self) -> str:
        return f"PlategaPayments({self._wire!r})"

    async def create(self, request: PaymentRequest) -> CreatedPayment:
        """See `PaymentProvider.create`; the buyer chooses the method on Platega's page."""
        body, headers = as_json(transaction_body(request.body))
        question = Question("POST", "/v2/transaction/process", repeatable=False, headers=headers, body=body)
        return await self._wire.ask(
            question, lambda reply: CreatedPayment(word(reply.body["transactionId"]), word(reply.body["url"]))
        )

    async def look_up(self, provider_payment_id: str) -> ProviderPayment | None:
        """See `PaymentProvider.look_up`."""
        path = f"/transaction/{quote(provider_payment_id, safe='')}"
        try:
            return await self._wire.ask(Question("GET", path, repeatable=True), _payment)
        except MissingError:
            return None


def transaction_body(frozen: str) -> dict[str, Any]:
    """What Platega is asked for, from what the sale froze (`reference.flows.sales`).

    Raises:
        KeyError: the frozen body lacks something.
    """
    sale = json.loads(frozen)
    reference = sale["metadata"]["payment_id"]
    minor = sale["amount_minor"]
    return {
        # A number. Its shortest decimal form is the amount, so that nothing is lost on the way.
        "paymentDetails": {
            "amount": minor / 100 if minor % 100 else minor // 100,
            "currency": sale["currency"],
        },
        "description": f"Payment {reference}",
        "return": sale["return_url"],
        "failedUrl": sale["return_url"],
        "payload": reference,
    }


def _judge(reply: Reply) -> RemoteError | None:
    title = reply.fields.get("title")
    if not isinstance(title, str):
        return of_status(reply.status, None, retry_after_s=reply.retry_after_s())
    errors = reply.fields.get("errors")
    words = title if not errors else f"{title}: {json.dumps(errors, ensure_ascii=False, default=str)}"
    return of_status(reply.status, words, code=title, retry_after_s=reply.retry_after_s())


def _payment(reply: Reply) -> ProviderPayment:
    transaction = reply.body
    details = transaction["paymentDetails"]
    amount = minor_units(details["amount"])
    return ProviderPayment(
        _STATUSES[transaction["status"]],
        amount,
        word(details["currency"]),
        transaction.get("payload") or None,
    )
