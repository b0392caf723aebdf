"""Stripe's Checkout Sessions: made, listed, expired, paid; what a customer does to one is a method, not an endpoint.

Not modelled: subscription and set-up modes, embedded pages, prices by id, taxes, discounts, shipping, customers as objects,
`expand`, updates of a session.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scenarios.services.deadlines import ROUNDING_S, Deadlines
from scenarios.services.plumbing import Clock, NotModelled
from scenarios.services.stripe_errors import invalid_parameter, no_such, stripe_error
from scenarios.services.stripe_lists import page
from scenarios.services.stripe_objects import EXPIRES_MAX_S, EXPIRES_MIN_S, check_item, new_session
from scenarios.services.stripe_parameters import require
from scenarios.services.stripe_payments import Emit, Payments

_CLIENT_REFERENCE_MAX = 200
_RECOVERY_S = 30 * 24 * 60 * 60  # a recovery link lives for 30 days


class PageClosed(Exception):
    """The customer's page takes no payment: the session is complete or expired."""


class Sessions:
    """All sessions of one account.

    Attributes:
        all: by id, in the order in which they were made, as the API shows them.
        list_lag_s: how old a session is before a list shows it. Stripe documents no lag; this is for adversaries.
    """

    def __init__(self, clock: Clock, new_id: Callable[[str], str], emit: Emit, payments: Payments) -> None:
        self._clock = clock
        self._new_id = new_id
        self._emit = emit
        self._payments = payments
        self._intent_data: dict[str, dict[str, Any]] = {}
        self._deadlines = Deadlines(clock, lambda at: self.wake_at(at))
        self.all: dict[str, dict[str, Any]] = {}
        self.list_lag_s = 0.0
        self.wake_at: Callable[[float], None] = lambda _at: None

    # The API -----------------------------------------------------------------------------------------------

    def check(self, parameters: dict[str, Any]) -> None:
        """What is refused before a creation begins to work, and so is not kept under its key.

        Raises:
            Refused: something required is missing, or a value is out of bounds.
        """
        require(parameters, "mode")
        if parameters["mode"] != "payment" or parameters.get("ui_mode", "hosted_page") != "hosted_page":
            raise NotModelled("the stand-in makes sessions with mode=payment on Stripe's own page")
        require(parameters, "success_url", "line_items")
        for number, item in enumerate(parameters["line_items"]):
            check_item(f"line_items[{number}]", item)
        if len(parameters.get("client_reference_id", "")) > _CLIENT_REFERENCE_MAX:
            raise invalid_parameter("client_reference_id", "Invalid string: must be at most 200 characters")
        lives_s = parameters.get("expires_at", self._now + EXPIRES_MAX_S) - self._now
        if lives_s < EXPIRES_MIN_S:
            raise invalid_parameter(
                "expires_at",
                "The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation.",
            )
        if lives_s > EXPIRES_MAX_S:
            raise invalid_parameter(
                "expires_at",
                "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.",
            )

    def create(self, parameters: dict[str, Any], *, recovered_from: str | None = None) -> dict[str, Any]:
        """``POST /v1/checkout/sessions``."""
        session = new_session(self._new_id("cs_test"), self._now, parameters)
        session["recovered_from"] = recovered_from
        self.all[session["id"]] = session
        self._intent_data[session["id"]] = parameters.get("payment_intent_data", {})
        self._deadlines.set(session["id"], session["expires_at"])
        return session

    def retrieve(self, identifier: str) -> dict[str, Any]:
        """``GET /v1/checkout/sessions/{id}``."""
        if identifier not in self.all:
            raise no_such("checkout.session", identifier, "session")
        return self.all[identifier]

    def list(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """``GET /v1/checkout/sessions``: there is no filter by metadata and none by payment status."""

        def matches(session: dict[str, Any]) -> bool:
            email = parameters.get("customer_details", {}).get("email")
            of_customer = not email or (session["customer_details"] or {}).get("email") == email
            names = ("status", "payment_intent", "customer")
            return of_customer and all(
                session[name] == parameters[name] for name in names if name in parameters
            )

        sessions = [one for one in self.all.values() if self._clock() - one["created"] >= self.list_lag_s]
        return page(
            sessions, parameters, url="/v1/checkout/sessions", kind="checkout.session", matches=matches
        )

    def expire(self, identifier: str) -> dict[str, Any]:
        """``POST /v1/checkout/sessions/{id}/expire``: only an open one."""
        session = self.retrieve(identifier)
        if session["status"] != "open":
            raise stripe_error(
                'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has a status of '
                f"`{session['status']}`."
            )
        self._expire(session)
        return session

    # What customers and time do ----------------------------------------------------------------------------

    def pay(self, identifier: str, *, email: str = "payer@example.com") -> dict[str, Any]:
        """A customer pays by a method that answers at once.

        Raises:
            PageClosed: the session is not open.
        """
        session = self._complete(identifier, email)
        self._paid(session)
        self._emit("checkout.session.completed", session)
        return session

    def complete_unpaid(self, identifier: str, *, email: str = "payer@example.com") -> dict[str, Any]:
        """A customer chooses a delayed method: the session is complete and the money is on its way.

        Raises:
            PageClosed: the session is not open.
        """
        session = self._complete(identifier, email)
        self._emit("checkout.session.completed", session)
        return session

    def settle(self, identifier: str, *, succeeded: bool) -> dict[str, Any]:
        """A delayed payment ends, days later."""
        session = self.all[identifier]
        assert (session["status"], session["payment_status"]) == ("complete", "unpaid"), (
            f"{identifier} waits for no money"
        )
        if succeeded:
            self._paid(session)
        else:
            self._payments.fail(self._payments.intents[session["payment_intent"]])
        self._emit(f"checkout.session.async_payment_{'succeeded' if succeeded else 'failed'}", session)
        return session

    def recover(self, identifier: str) -> dict[str, Any]:
        """A customer follows the recovery link of an expired session: Stripe makes a copy that nobody asked us for.

        Raises:
            PageClosed: the session has no such link.
        """
        session = self.all[identifier]
        recovery = (session["after_expiration"] or {}).get("recovery") or {}
        if not recovery.get("url"):
            raise PageClosed(f"{identifier} has no recovery link")
        copied = ("mode", "success_url", "cancel_url", "client_reference_id", "metadata", "customer_email")
        parameters = {name: session[name] for name in copied if session[name]}
        item = {
            "price_data": {"currency": session["currency"], "unit_amount": session["amount_total"]},
            "quantity": 1,
        }
        parameters |= {"line_items": [item], "payment_intent_data": self._intent_data[identifier]}
        return self.create(parameters, recovered_from=identifier)

    def expire_due(self) -> None:
        """Ends the sessions whose time is over."""
        for identifier in self._deadlines.take_due():
            if self.all[identifier]["status"] == "open":
                self._expire(self.all[identifier])

    # ---------------------------------------------------------------------------------------------------------

    @property
    def _now(self) -> int:
        return int(self._clock())

    def _expire(self, session: dict[str, Any]) -> None:
        session |= {"status": "expired", "url": None}
        recovery = (session["after_expiration"] or {}).get("recovery")
        if recovery and recovery["enabled"]:
            url = f"https://checkout.example.com/recover/{session['id']}"
            recovery |= {"url": url, "expires_at": self._now + _RECOVERY_S}
        self._emit("checkout.session.expired", session)

    def _complete(self, identifier: str, email: str) -> dict[str, Any]:
        session = self.all[identifier]
        if session["status"] == "open" and session["expires_at"] <= self._clock() + ROUNDING_S:
            self._expire(session)
        if session["status"] != "open":
            raise PageClosed(f"{identifier} is {session['status']}: the page takes no payment")
        intent = self._payments.begin(
            session["amount_total"], session["currency"], self._intent_data[identifier]
        )
        details = {
            "email": session["customer_email"] or email,
            "name": None,
            "phone": None,
            "tax_exempt": "none",
        }
        session |= {
            "status": "complete",
            "url": None,
            "payment_intent": intent["id"],
            "customer_details": details | {"address": None, "tax_ids": []},
        }
        return session

    def _paid(self, session: dict[str, Any]) -> None:
        self._payments.succeed(self._payments.intents[session["payment_intent"]])
        session["payment_status"] = "paid"
