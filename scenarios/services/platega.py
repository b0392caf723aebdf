"""Platega: transactions without any idempotency, and a callback that is tried four times in a quarter of an hour.

A create whose answer is lost cannot be repeated: a second one is a second transaction. What is left is a look through the
export of a time window for our ``payload``. After the fourth callback there is silence: whoever does not poll never knows.

From a third party's digest of docs.platega.io (2026-08), not from the provider. Not modelled: subscriptions and their
PascalCase callbacks, payouts with their key and HMAC, rates, cancellation by API, exports as CSV and Excel. The shape of
errors is not documented there; it is ASP.NET's, as the rest of the API is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from scenarios.services.deadlines import Deadlines
from scenarios.services.deliveries import Deliveries, Message
from scenarios.services.plumbing import (
    Answer,
    Clock,
    NotModelled,
    Refused,
    Request,
    Service,
    answer_json,
    route,
)

METHODS = {2: "SBPQR", 3: "ERIP", 11: "CARD", 12: "INTERNATIONAL", 13: "CRYPTO", 14: "SBERPAY"}
LADDER_S = (300.0, 300.0, 300.0)
_TIMEOUT_S = 60.0
_LIVES_S = 15 * 60.0
_PROCESS = {"paymentMethod", "paymentDetails", "description", "return", "failedUrl", "payload"}
_EXPORT = {"from", "to", "statuses", "paymentMethods", "timeZoneId"}


def platega_error(status: int, title: str, errors: dict[str, list[str]] | None = None) -> Refused:
    """An error in ASP.NET's shape."""
    body: dict[str, Any] = {
        "type": f"https://httpstatuses.example.com/{status}",
        "title": title,
        "status": status,
    }
    return Refused(answer_json(body | ({"errors": errors} if errors else {}), status))


class Platega(Service):
    """One merchant.

    Args:
        clock: unix seconds.
        account: merchant id and secret; the callback carries the same two, and nothing else proves it.
        callback_url: as set in the cabinet; None: nowhere.
        ladder: seconds between the tries of a callback.

    Attributes:
        transactions: by id: status, amount, currency, method, payload.
        copies: how often each callback is sent without being asked.
        deliveries: callbacks on their way.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        account: tuple[str, str] = ("merchant-1", "secret-1"),
        callback_url: str | None = None,
        ladder: Sequence[float] = LADDER_S,
    ) -> None:
        super().__init__(clock)
        self._account = account
        self._callback_url = callback_url
        self._deadlines = Deadlines(clock, lambda at: self.wake_at(at))
        self.copies = 1
        self.transactions: dict[str, dict[str, Any]] = {}
        self.deliveries = Deliveries(
            clock, ladder=ladder, counts=lambda status: status == 200, timeout_s=_TIMEOUT_S
        )
        self._endpoints: list[tuple[str, str, Callable[[Request, str], Any]]] = [
            ("POST", r"/transaction/process", self._process),
            ("POST", r"/v2/transaction/process", self._process_without_method),
            ("POST", r"/transaction/export/json", self._export),
            ("GET", r"/transaction/([^/]+)", self._retrieve),
        ]

    # What buyers, banks and time do ----------------------------------------------------------------------------

    def pay(self, transaction_id: str) -> None:
        """The buyer pays."""
        self._become(transaction_id, "CONFIRMED", only_from="PENDING")

    def cancel(self, transaction_id: str) -> None:
        """The buyer gives up, or their bank refuses."""
        self._become(transaction_id, "CANCELED", only_from="PENDING")

    def charge_back(self, transaction_id: str) -> None:
        """The buyer's bank takes the money back."""
        self._become(transaction_id, "CHARGEBACKED", only_from="CONFIRMED")

    def busy(self) -> Answer:
        """429; the third party's digest does not mention one."""
        return platega_error(429, "Too Many Requests").answer

    def broken(self) -> Answer:
        """500."""
        return platega_error(500, "Internal Server Error").answer

    def tick(self) -> None:
        """A transaction that nobody paid is cancelled after a quarter of an hour."""
        for identifier in self._deadlines.take_due():
            if self.transactions[identifier]["status"] == "PENDING":
                self.cancel(identifier)

    # The API -------------------------------------------------------------------------------------------------

    async def answer(self, request: Request) -> Answer:
        """Answers one request."""
        if (request.headers.get("x-merchantid"), request.headers.get("x-secret")) != self._account:
            raise platega_error(401, "Unauthorized")
        found = route(self._endpoints, request)
        if found is None:
            raise platega_error(404, "Not Found")
        endpoint, identifier = found
        return answer_json(endpoint(request, identifier))

    def _process(self, request: Request, _found: str) -> dict[str, Any]:
        body = _read(request, _PROCESS)
        method = body.get("paymentMethod")
        if not isinstance(method, int) or method not in METHODS:
            raise platega_error(400, "Validation failed", {"paymentMethod": ["unknown payment method"]})
        transaction = self._begin(body)
        answer = self._shown(transaction, "paymentMethod", "status", "paymentDetails")
        return answer | {
            "transactionId": transaction["id"],
            "redirect": f"https://pay.example.com/{transaction['id']}",
            "return": body.get("return"),
            "expiresIn": "00:15:00",
            "merchantId": self._account[0],
        }

    def _process_without_method(self, request: Request, _found: str) -> dict[str, Any]:
        transaction = self._begin(_read(request, _PROCESS - {"paymentMethod"}))
        url = f"https://pay.example.com/{transaction['id']}"
        return {
            "transactionId": transaction["id"],
            "status": "PENDING",
            "url": url,
            "expiresIn": "00:15:00",
            "rate": 1,
        }

    def _retrieve(self, _request: Request, found: str) -> dict[str, Any]:
        if found not in self.transactions:
            raise platega_error(404, "Not Found")
        return self._shown(
            self.transactions[found], "id", "status", "paymentDetails", "paymentMethod", "payload"
        )

    def _export(self, request: Request, _found: str) -> list[dict[str, Any]]:
        asked = _read(request, _EXPORT)
        if asked.get("statuses"):
            raise NotModelled("export by statuses: which number means which status is not published")
        first, last = _unix(asked, "from", 0.0), _unix(asked, "to", float("inf"))
        methods = _methods(asked)
        return [
            {
                "recordId": one["id"],
                "createdAt": datetime.fromtimestamp(one["at"], UTC).strftime("%Y-%m-%d %H:%M:%S"),
                "amount": one["paymentDetails"]["amount"],
                "currencyCode": one["paymentDetails"]["currency"],
                "status": one["status"],
                "paymentMethod": one["paymentMethod"],
                "description": one["description"],
                "payload": one["payload"],
            }
            for one in self.transactions.values()
            if first <= one["at"] <= last and (not methods or one["paymentMethod"] in methods)
        ]

    # ---------------------------------------------------------------------------------------------------------

    def _begin(self, body: dict[str, Any]) -> dict[str, Any]:
        details: Any = body.get("paymentDetails")
        if not isinstance(details, dict):
            details = {}
        amount = details.get("amount")
        is_number = isinstance(amount, int | float) and not isinstance(amount, bool)
        if not is_number or amount <= 0 or not details.get("currency"):
            raise platega_error(
                400, "Validation failed", {"paymentDetails": ["amount and currency are required"]}
            )
        identifier = f"{len(self.transactions) + 1:08x}-0000-4000-8000-000000000000"
        transaction = self.transactions[identifier] = {
            "id": identifier,
            "at": self.clock(),
            "status": "PENDING",
            "paymentMethod": METHODS.get(body.get("paymentMethod", 0), ""),
            "methodNumber": body.get("paymentMethod", 2),
            "paymentDetails": {"amount": amount, "currency": details["currency"]},
            "description": body.get("description", ""),
            "payload": body.get("payload", ""),
        }
        self._deadlines.set(identifier, self.clock() + _LIVES_S)
        return transaction

    def _become(self, identifier: str, status: str, *, only_from: str) -> None:
        transaction = self.transactions[identifier]
        assert transaction["status"] == only_from, f"{identifier} is {transaction['status']}, not {only_from}"
        transaction["status"] = status
        if self._callback_url is None:
            return
        body = {"id": identifier, "status": status, **transaction["paymentDetails"]}
        body |= {"paymentMethod": transaction["methodNumber"]}
        body |= {"payload": transaction["payload"]} if transaction["payload"] else {}
        secrets = (("x-merchantid", self._account[0]), ("x-secret", self._account[1]))
        message = Message(
            self._callback_url, json.dumps(body).encode(), (("content-type", "application/json"), *secrets)
        )
        for _ in range(self.copies):
            self.deliveries.add(f"{status} {identifier}", lambda _delivery: message)

    def _shown(self, transaction: dict[str, Any], *names: str) -> dict[str, Any]:
        return {name: transaction[name] for name in names}


def _read(request: Request, names: set[str]) -> dict[str, Any]:
    try:
        body = request.json_object()
    except ValueError:
        raise platega_error(400, "The request body is not a valid JSON object") from None
    unknown = [name for name in body if name not in names]
    if unknown:  # `id` above all, which older documentation told us to send
        raise platega_error(400, "Validation failed", {unknown[0]: ["unknown field"]})
    return body


def _unix(asked: dict[str, Any], name: str, otherwise: float) -> float:
    if asked.get(name) in (None, ""):
        return otherwise
    try:
        at = datetime.fromisoformat(asked[name])
        return at.replace(tzinfo=at.tzinfo or UTC).timestamp()
    except (OverflowError, TypeError, ValueError):
        raise platega_error(400, "Validation failed", {name: ["not a date and time"]}) from None


def _methods(asked: dict[str, Any]) -> set[str]:
    """The words of the methods that are asked for; empty: all."""
    words = {str(number): word for number, word in METHODS.items()}
    numbers = asked.get("paymentMethods") or []
    if not isinstance(numbers, list) or any(str(number) not in words for number in numbers):
        raise platega_error(400, "Validation failed", {"paymentMethods": ["unknown payment method"]})
    return {words[str(number)] for number in numbers}
