"""YooKassa's payments and refunds: what becomes of them, and what is told about it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from typing import Any

from scenarios.services import yookassa_parameters as parameters
from scenarios.services.deadlines import Deadlines
from scenarios.services.deliveries import Deliveries, Message
from scenarios.services.kept_answers import DAY_S
from scenarios.services.plumbing import Clock, NotModelled, Request
from scenarios.services.yookassa_parameters import invalid, kopecks, moment, money, yookassa_error

LADDER_S = (600.0,) * 144
_CAPTURE_WITHIN_S = 7 * DAY_S  # cards and the wallet; other methods have six hours
_TIMEOUT_S = 30.0


class Payments:
    """One shop's money. What buyers do is a method, not an endpoint.

    Args:
        clock: unix seconds.
        notify_url: where notifications go; None: nowhere.
        ladder: seconds between the tries of a notification.
        confirm_within_s: how long a payment waits for its buyer.

    Attributes:
        all: payments by id, as the API shows them.
        refunds: the same.
        copies: how often each notification is sent without being asked.
        deliveries: notifications on their way.
    """

    def __init__(
        self, clock: Clock, *, notify_url: str | None, ladder: Sequence[float], confirm_within_s: float
    ) -> None:
        self._clock = clock
        self._notify_url = notify_url
        self._confirm_within_s = confirm_within_s
        self._deadlines = Deadlines(clock, lambda at: self.wake_at(at))
        self._captures: dict[str, bool] = {}
        self.wake_at: Callable[[float], None] = lambda _at: None
        self.copies = 1
        self.all: dict[str, dict[str, Any]] = {}
        self.refunds: dict[str, dict[str, Any]] = {}
        self.deliveries = Deliveries(
            clock,
            ladder=ladder,
            counts=lambda status: status == 200,
            timeout_s=_TIMEOUT_S,
            retries_for_s=DAY_S,
        )

    # What buyers and time do ---------------------------------------------------------------------------------

    def pay(self, payment_id: str) -> None:
        """The buyer pays: the money is there, or held until it is captured."""
        payment = self.all[payment_id]
        assert payment["status"] == "pending", f"{payment_id} is {payment['status']} and waits for no buyer"
        if self._captures[payment_id]:
            self._succeed(payment)
            return
        until = moment(self._clock() + _CAPTURE_WITHIN_S)
        payment |= {"status": "waiting_for_capture", "paid": True, "expires_at": until}
        self._wait(payment, _CAPTURE_WITHIN_S)
        self._notify("payment.waiting_for_capture", payment)

    def decline(self, payment_id: str, *, reason: str = "insufficient_funds") -> None:
        """The buyer's bank refuses."""
        self.end(payment_id, "payment_network", reason)

    def end(self, payment_id: str, party: str, reason: str) -> None:
        """Cancels what is not finished; to pay again takes a new payment under a new key."""
        payment = self.all[payment_id]
        assert payment["status"] in ("pending", "waiting_for_capture"), f"{payment_id} is {payment['status']}"
        self._deadlines.clear(payment_id)
        payment |= {
            "status": "canceled",
            "paid": False,
            "cancellation_details": {"party": party, "reason": reason},
        }
        self._notify("payment.canceled", payment)

    def end_due(self) -> None:
        """Cancels what nobody confirmed or captured in time."""
        for payment_id in self._deadlines.take_due():
            pending = self.all[payment_id]["status"] == "pending"
            self.end(payment_id, "yoo_money", "expired_on_confirmation" if pending else "expired_on_capture")

    # The API -------------------------------------------------------------------------------------------------

    def create(self, request: Request, _found: str) -> dict[str, Any]:
        """``POST /v3/payments``."""
        body = parameters.read(request, parameters.CREATE_PAYMENT)
        parameters.check_payment(body)
        payment_id = f"{len(self.all) + 1:08x}-000f-5000-8000-000000000000"
        url = f"https://yoomoney.example.com/checkout?orderId={payment_id}"
        payment = self.all[payment_id] = {
            "id": payment_id,
            "status": "pending",
            "amount": body["amount"],
            "description": body.get("description"),
            "recipient": {"account_id": "100500", "gateway_id": "1"},
            "created_at": moment(self._clock()),
            "confirmation": {"type": "redirect", "confirmation_url": url},
            "test": True,
            "paid": False,
            "refundable": False,
            "metadata": body.get("metadata", {}),
        }
        self._captures[payment_id] = body.get("capture", False)
        self._wait(payment, self._confirm_within_s)
        return payment

    def capture(self, request: Request, found: str) -> dict[str, Any]:
        """``POST /v3/payments/{id}/capture``: what is held is taken."""
        payment = self.retrieve(request, found)
        body = parameters.read(request, parameters.CAPTURE)
        if payment["status"] != "waiting_for_capture":
            raise yookassa_error(
                400, "invalid_request", "Payment doesn't exist or its status doesn't allow capture"
            )
        if body.get("amount", payment["amount"]) != payment["amount"]:
            raise NotModelled("the stand-in captures whole payments")
        self._succeed(payment)
        return payment

    def cancel(self, request: Request, found: str) -> dict[str, Any]:
        """``POST /v3/payments/{id}/cancel``: what is held is let go."""
        payment = self.retrieve(request, found)
        parameters.read(request, parameters.CANCEL)
        if payment["status"] != "waiting_for_capture":
            raise yookassa_error(
                400, "invalid_request", "Payment doesn't exist or its status doesn't allow cancel"
            )
        self.end(payment["id"], "merchant", "canceled_by_merchant")
        return payment

    def refund(self, request: Request, _found: str) -> dict[str, Any]:
        """``POST /v3/refunds``: never more than was paid."""
        body = parameters.read(request, parameters.CREATE_REFUND)
        payment = self.all.get(body.get("payment_id", ""))
        if payment is None or payment["status"] != "succeeded":
            raise invalid("payment_id", "Payment doesn't exist or its status doesn't allow refunds")
        amount = kopecks(body.get("amount"))
        before = sum(
            kopecks(one["amount"]) for one in self.refunds.values() if one["payment_id"] == payment["id"]
        )
        if before + amount > kopecks(payment["amount"]):
            raise invalid("amount", "Refund amount exceeds what is left of the payment")
        refund = {
            "id": f"{len(self.refunds) + 1:08x}-0015-5000-8000-000000000000",
            "payment_id": payment["id"],
            "status": "succeeded",
            "created_at": moment(self._clock()),
            "amount": body["amount"],
            "description": body.get("description"),
        }
        self.refunds[refund["id"]] = refund
        payment["refunded_amount"] = money(before + amount, payment["amount"]["currency"])
        self._notify("refund.succeeded", refund)
        return refund

    def retrieve(self, _request: Request, found: str) -> dict[str, Any]:
        """``GET /v3/payments/{id}``."""
        if found not in self.all:
            raise yookassa_error(
                404, "not_found", "Payment doesn't exist or access denied", parameter="payment_id"
            )
        return self.all[found]

    def retrieve_refund(self, _request: Request, found: str) -> dict[str, Any]:
        """``GET /v3/refunds/{id}``."""
        if found not in self.refunds:
            raise yookassa_error(
                404, "not_found", "Refund doesn't exist or access denied", parameter="refund_id"
            )
        return self.refunds[found]

    def list(self, request: Request, _found: str) -> dict[str, Any]:
        """``GET /v3/payments``."""
        return parameters.page([*self.all.values()], request, parameters.LIST_PAYMENTS)

    def list_refunds(self, request: Request, _found: str) -> dict[str, Any]:
        """``GET /v3/refunds``."""
        return parameters.page([*self.refunds.values()], request, parameters.LIST_REFUNDS)

    # ---------------------------------------------------------------------------------------------------------

    def _wait(self, payment: dict[str, Any], seconds: float) -> None:
        self._deadlines.set(payment["id"], self._clock() + seconds)

    def _succeed(self, payment: dict[str, Any]) -> None:
        self._deadlines.clear(payment["id"])
        payment |= {
            "status": "succeeded",
            "paid": True,
            "refundable": True,
            "captured_at": moment(self._clock()),
        }
        payment.pop("expires_at", None)
        self._notify("payment.succeeded", payment)

    def _notify(self, event: str, obj: dict[str, Any]) -> None:
        if self._notify_url is not None:
            body = json.dumps({"type": "notification", "event": event, "object": copy.deepcopy(obj)}).encode()
            message = Message(self._notify_url, body)
            for _ in range(self.copies):
                self.deliveries.add(f"{event} {obj['id']}", lambda _delivery: message)
