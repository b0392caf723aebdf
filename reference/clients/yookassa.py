"""YooKassa's payments: made under our key, so that a repetition is the same payment for a day, and looked up by their id.

What goes out is a function of the frozen request and of nothing else: the same key with another byte is refused. Within a call an
attempt without an answer is repeated with the same key, which is what YooKassa asks for after a 500; a 202 says that the payment
is being made and is asked for again as well. When the call's patience is over it is the caller's turn, with the same key.

After a day the key is forgotten and makes a second payment. Both carry our id, and the flow takes the first one that is paid.
"""

from __future__ import annotations

import base64
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from reference.clients.errors import MissingError, of_status
from reference.clients.http import Question, Reply, Wire, as_json, word
from reference.clients.settings import Patience, YooKassaAccount
from reference.model import ProviderPayment, ProviderStatus
from reference.ports import (
    AmbiguousError,
    CreatedPayment,
    KeyConflictError,
    PaymentRequest,
    RefusedError,
    RemoteError,
)

if TYPE_CHECKING:
    import httpx

_STATUSES = {
    "pending": ProviderStatus.PENDING,
    "waiting_for_capture": ProviderStatus.PENDING,  # ours are captured by themselves
    "succeeded": ProviderStatus.SUCCEEDED,
    "canceled": ProviderStatus.CANCELED,
}


class YooKassaPayments:
    """`reference.ports.PaymentProvider` at YooKassa."""

    def __init__(self, account: YooKassaAccount, http: httpx.AsyncClient, *, patience: Patience) -> None:
        pair = base64.b64encode(f"{account.shop_id}:{account.secret_key}".encode()).decode()
        self._wire = Wire(
            "yookassa",
            http,
            base_url=account.base_url,
            judge=_judge,
            patience=patience,
            headers={"authorization": f"Basic {pair}"},
            secrets=(account.secret_key, pair),
        )

    def __repr__(self) -> str:
        return f"YooKassaPayments({self._wire!r})"

    async def create(self, request: PaymentRequest) -> CreatedPayment:
        """See `PaymentProvider.create`.

        Raises:
            RefusedError: also for a payment that YooKassa has cancelled, as it does when it was too slow to make it.
        """
        body, headers = as_json(payment_body(request.body))
        headers["idempotence-key"] = request.idempotence_key
        question = Question("POST", "/v3/payments", repeatable=True, headers=headers, body=body)
        status, created, reason = await self._wire.ask(question, _created)
        if status is ProviderStatus.CANCELED:
            raise RefusedError(f"yookassa has cancelled {created.provider_payment_id}: {reason}", code=reason)
        return created

    async def look_up(self, provider_payment_id: str) -> ProviderPayment | None:
        """See `PaymentProvider.look_up`."""
        path = f"/v3/payments/{quote(provider_payment_id, safe='')}"
        try:
            return await self._wire.ask(Question("GET", path, repeatable=True), _payment)
        except MissingError:
            return None


def payment_body(frozen: str) -> dict[str, Any]:
    """What YooKassa is asked for, from what the sale froze (`reference.flows.sales`).

    Raises:
        KeyError: the frozen body lacks something.
    """
    sale = json.loads(frozen)
    reference = sale["metadata"]["payment_id"]
    return {
        "amount": {"value": money(sale["amount_minor"]), "currency": sale["currency"]},
        "capture": True,
        "confirmation": {"type": "redirect", "return_url": sale["return_url"]},
        "description": f"Payment {reference}",
        "metadata": sale["metadata"],
    }


def money(minor: int) -> str:
    """An amount as YooKassa writes it: a text with two decimals."""
    return f"{minor // 100}.{minor % 100:02}"


def minor_units(value: str | int | Decimal) -> int:
    """An amount in the hundredths that we count in.

    Raises:
        ValueError: it has a fraction of them.
    """
    units = Decimal(value) * 100
    if units != units.to_integral_value():
        raise ValueError(f"expected whole hundredths; got {value}")
    return int(units)


def _judge(reply: Reply) -> RemoteError | None:
    fields = reply.fields
    if reply.status == 202 or fields.get("type") == "processing":
        wait_ms = fields.get("retry_after")
        wait_s = wait_ms / 1000 if isinstance(wait_ms, int) else None
        return AmbiguousError("202 accepted, not finished", code="processing", retry_after_s=wait_s)
    code = fields.get("code")
    if fields.get("type") != "error" or not isinstance(code, str):
        return of_status(reply.status, None)
    parameter = str(fields.get("parameter", ""))
    words = " ".join(filter(None, (code, parameter, str(fields.get("description", "")))))
    # There is no code of its own for it: a key that came with another body is an invalid parameter that is called like the header.
    if (reply.status, parameter) == (400, "Idempotence-Key") and "duplicated" in words:
        return KeyConflictError(f"400 {words}", code=code)
    return of_status(reply.status, words, code=code, retry_after_s=reply.retry_after_s())


def _created(reply: Reply) -> tuple[ProviderStatus, CreatedPayment, str]:
    payment = reply.body
    confirmation = payment.get("confirmation") or {}
    status = _STATUSES[payment["status"]]
    url = (
        word(confirmation["confirmation_url"])
        if status is ProviderStatus.PENDING
        else confirmation.get("confirmation_url", "")
    )
    reason = (payment.get("cancellation_details") or {}).get("reason", "unknown")
    return status, CreatedPayment(word(payment["id"]), str(url)), str(reason)


def _payment(reply: Reply) -> ProviderPayment:
    payment = reply.body
    amount = payment["amount"]
    paid = minor_units(amount["value"])
    returned = minor_units((payment.get("refunded_amount") or {"value": 0})["value"])
    status = _STATUSES[payment["status"]]
    if status is ProviderStatus.SUCCEEDED and returned >= paid:
        status = ProviderStatus.REFUNDED  # a part of it is a matter between the staff and the buyer
    reference = (payment.get("metadata") or {}).get("payment_id")
    return ProviderPayment(status, paid, word(amount["currency"]), reference)
