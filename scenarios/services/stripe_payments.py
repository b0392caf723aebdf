"""Stripe's payment intents and refunds, as far as a Checkout Session brings them about.

Not modelled: charges as objects of their own (their ids exist), partial captures, disputes, refunds that fail or wait,
balance transactions, any way to make or confirm a payment intent by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from scenarios.services.plumbing import Clock
from scenarios.services.stripe_errors import invalid_parameter, no_such, stripe_error
from scenarios.services.stripe_parameters import require

Emit = Callable[[str, dict[str, Any]], None]


class Payments:
    """The money that customers paid, and what went back.

    Attributes:
        intents: payment intents by id.
        refunds: by id.
    """

    def __init__(self, clock: Clock, new_id: Callable[[str], str], emit: Emit) -> None:
        self._clock = clock
        self._new_id = new_id
        self._emit = emit
        self.intents: dict[str, dict[str, Any]] = {}
        self.refunds: dict[str, dict[str, Any]] = {}

    def begin(self, amount: int, currency: str, data: dict[str, Any]) -> dict[str, Any]:
        """A customer has chosen how to pay; the money is not there yet."""
        intent = {
            "id": self._new_id("pi"),
            "object": "payment_intent",
            "amount": amount,
            "amount_capturable": 0,
            "amount_received": 0,
            "canceled_at": None,
            "cancellation_reason": None,
            "capture_method": "automatic",
            "confirmation_method": "automatic",
            "created": int(self._clock()),
            "currency": currency,
            "customer": None,
            "description": data.get("description"),
            "last_payment_error": None,
            "latest_charge": None,
            "livemode": False,
            "metadata": data.get("metadata", {}),
            "next_action": None,
            "payment_method_types": ["card"],
            "receipt_email": data.get("receipt_email"),
            "status": "processing",
        }
        self.intents[intent["id"]] = intent
        return intent

    def succeed(self, intent: dict[str, Any]) -> None:
        """The money is there."""
        intent |= {
            "status": "succeeded",
            "amount_received": intent["amount"],
            "latest_charge": self._new_id("ch"),
        }

    def fail(self, intent: dict[str, Any]) -> None:
        """A delayed method's money never came."""
        error = {
            "type": "card_error",
            "code": "payment_intent_payment_attempt_failed",
            "message": "The payment failed.",
        }
        intent |= {"status": "requires_payment_method", "last_payment_error": error}

    def retrieve(self, identifier: str) -> dict[str, Any]:
        """``GET /v1/payment_intents/{id}``."""
        if identifier not in self.intents:
            raise no_such("payment_intent", identifier, "intent")
        return self.intents[identifier]

    def refund(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """``POST /v1/refunds``: all that is left, or a part of it; never more than was paid."""
        intent = self._refunded(parameters)
        left = intent["amount_received"] - sum(one["amount"] for one in self.refunds_of(intent["id"]))
        amount = parameters.get("amount", left)
        if left == 0:
            charge = intent["latest_charge"]
            raise stripe_error(f"Charge {charge} has already been refunded.", code="charge_already_refunded")
        if amount > left:
            raise invalid_parameter(
                "amount", f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"
            )
        refund = {
            "id": self._new_id("re"),
            "object": "refund",
            "amount": amount,
            "balance_transaction": None,
            "charge": intent["latest_charge"],
            "created": int(self._clock()),
            "currency": intent["currency"],
            "metadata": parameters.get("metadata", {}),
            "payment_intent": intent["id"],
            "reason": parameters.get("reason"),
            "receipt_number": None,
            "source_transfer_reversal": None,
            "status": "succeeded",
            "transfer_reversal": None,
        }
        self.refunds[refund["id"]] = refund
        self._emit("refund.created", refund)
        return refund

    def retrieve_refund(self, identifier: str) -> dict[str, Any]:
        """``GET /v1/refunds/{id}``."""
        if identifier not in self.refunds:
            raise no_such("refund", identifier, "refund")
        return self.refunds[identifier]

    def refunds_of(self, intent_id: str) -> Iterable[dict[str, Any]]:
        """What went back of one payment."""
        return [one for one in self.refunds.values() if one["payment_intent"] == intent_id]

    @staticmethod
    def check(parameters: dict[str, Any]) -> None:
        """What is refused before the request begins to work, and so is not kept under its key."""
        if not parameters.get("charge"):
            require(parameters, "payment_intent")
        if parameters.get("amount", 1) < 1:
            raise invalid_parameter("amount", "Invalid positive integer", code="parameter_invalid_integer")

    def _refunded(self, parameters: dict[str, Any]) -> dict[str, Any]:
        identifier, charge = parameters.get("payment_intent"), parameters.get("charge")
        for intent in self.intents.values():
            if intent["id"] == identifier or (charge and intent["latest_charge"] == charge):
                if intent["status"] != "succeeded":
                    raise stripe_error(
                        f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.",
                        code="payment_intent_unexpected_state",
                    )
                return intent
        if identifier:
            raise no_such("payment_intent", identifier, "payment_intent")
        raise no_such("charge", str(charge), "charge")
