"""What lies outside the reference, as protocols: providers, Telegram, key servers, the clock.

The clients that speak the real APIs and the stand-ins of a simulation both satisfy these. Every call may be lost before its
effect or after it, and may take as long as its timeout; so each one is safe to repeat or says that it is not.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from reference.model import ProviderPayment
from reference.model_rest import CheckoutSession

Clock = Callable[[], float]
"""Unix seconds."""


def wall_clock() -> float:
    """The machine's clock, looked up at the moment of the call so that a frozen or simulated `time.time` is seen."""
    return time.time()


class RemoteError(Exception):
    """A call to somebody else's system that gave no answer to go on with; its four kinds are what a caller decides by.

    Attributes:
        code: the remote side's own word or number for it; None when it gave none.
        retry_after_s: how long it asks us to wait; None when it does not say.
    """

    def __init__(self, *words: object, code: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(*words)
        self.code = code
        self.retry_after_s = retry_after_s


class RefusedError(RemoteError):
    """The remote side said no and will say no again: a blocked bot, a deleted server. Repeating is pointless."""


class AmbiguousError(RemoteError):
    """The request went out and no answer came: the effect may or may not have happened."""


class LaterError(RemoteError):
    """Not now: the remote side is too busy, or still at our last attempt. This request had no effect of its own; repeat it."""


class KeyConflictError(RemoteError):
    """The remote side knows our idempotency key with another request. Neither repeating nor another key is right: a person looks."""


@dataclass(frozen=True, slots=True)
class PaymentRequest:
    """What is asked of a provider.

    Args:
        idempotence_key: the same for every attempt; Platega ignores it, see `reference.flows.sales`.
        body: frozen when the payment was made: a provider refuses a key that comes back with another body.
    """

    idempotence_key: str
    body: str


@dataclass(frozen=True, slots=True)
class CreatedPayment:
    """A provider's name for the payment, and the page where the buyer pays."""

    provider_payment_id: str
    confirmation_url: str


class PaymentProvider(Protocol):
    """YooKassa or Platega.

    Both methods may raise:
        RefusedError: it says no and will say no again.
        LaterError: 429, 401, 403, no connection at all: nothing was done.
        AmbiguousError: timeout, connection lost, 5xx, an answer that cannot be read: it may have been done. YooKassa answers for
            it by the same key; Platega's export would find the payment and not its page, so there only a new one can be paid.
    """

    async def create(self, request: PaymentRequest) -> CreatedPayment:
        """Make a payment that waits for the buyer.

        Raises:
            KeyConflictError: the key has come with another body before.
        """
        ...

    async def look_up(self, provider_payment_id: str) -> ProviderPayment | None:
        """The provider's own record, which is the only thing that proves a payment; None when it knows no such payment."""
        ...


class Notifier(Protocol):
    """Telegram: no idempotency, so a repeated call is a repeated message."""

    async def send(self, user_id: int, text: str, reference: str) -> None:
        """Deliver one message.

        Args:
            user_id: the chat.
            text: frozen when the job was made.
            reference: our name for the message, for logs and for a stand-in that counts.

        Raises:
            RefusedError: 403, the user has blocked the bot; 400, there is no such chat.
            LaterError: 429, 401, no connection at all: nothing was sent.
            AmbiguousError: the connection was lost after the request had been written, or Telegram failed.
        """
        ...


class KeyServers(Protocol):
    """The V2Ray servers: each call sets a state, so repeating it changes nothing."""

    async def put(self, server_id: str, subscription_id: str, traffic_limit_mb: int) -> None:
        """Make the key exist with this limit; 0 is unlimited."""
        ...

    async def remove(self, server_id: str, subscription_id: str) -> None:
        """Make the key not exist."""
        ...

    async def reset_traffic(self, server_id: str, subscription_id: str, reference: str) -> None:
        """Set the used traffic to zero; `reference` names the payment that bought it."""
        ...


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """What is asked of Stripe for a claim, the same at every attempt.

    Args:
        idempotency_key: the claim's.
        body: the form, byte for byte as it was frozen.
    """

    idempotency_key: str
    body: str


@dataclass(frozen=True, slots=True)
class SessionPage:
    """One page of Stripe's list of sessions, newest first.

    Args:
        sessions: those that carry a reference; without one it is nobody's we know.
        next_after: what to ask for the next page with; None: this is the end.
    """

    sessions: tuple[CheckoutSession, ...]
    next_after: str | None


class CheckoutSessions(Protocol):
    """Stripe's Checkout Sessions. Whatever is not an answer is raised, so an error is never taken for "there is none".

    Every method may raise:
        RefusedError: Stripe says no and will say no again.
        LaterError: 409 in use, 429, 401, 403: nothing has been done.
        AmbiguousError: timeout, connection lost, 5xx, an answer that cannot be read: it may have been done.
    """

    async def create(self, request: SessionRequest) -> CheckoutSession:
        """Make a session, or get the one that this key has made.

        Raises:
            KeyConflictError: the key has come with another body before.
        """
        ...

    async def retrieve(self, session_id: str) -> CheckoutSession | None:
        """The record of a session, which is the only thing that proves a payment; None when Stripe says that it has none."""
        ...

    async def list_created(self, since: int, until: int, *, starting_after: str | None = None) -> SessionPage:
        """One page of the sessions created in this window.

        Args:
            since: unix seconds, included.
            until: unix seconds, included.
            starting_after: `next_after` of the page before.
        """
        ...

    async def expire(self, session_id: str) -> CheckoutSession:
        """Close the page.

        Raises:
            RefusedError: it is not open; what it is instead, `retrieve` tells.
        """
        ...


@dataclass(frozen=True, slots=True)
class SmsReceipt:
    """An SMS gateway has taken a message, and calls it this."""

    message_id: str


@dataclass(frozen=True, slots=True)
class SmsRecord:
    """One message in a gateway's list.

    Args:
        message_id: the gateway's name for it.
        recipient: digits.
        text: as it went out.
        reference: ours, if the list gives it back; Mobizon keeps it on the campaign and may not have it yet.
        accepted_at: unix seconds.
    """

    message_id: str
    recipient: str
    text: str
    reference: str | None
    accepted_at: int


class SmsGateway(Protocol):
    """Mobizon: no idempotency key, so a repeated call is a repeated SMS; but what it has taken can be looked up.

    Both methods may raise:
        RefusedError: it says no and will say no again.
        LaterError: code 30, 429, no connection at all: nothing was taken.
        AmbiguousError: timeout, connection lost, 5xx: it may have been taken.
    """

    async def send(self, recipient: str, text: str, reference: str) -> SmsReceipt:
        """Send one SMS; `reference` goes out as the campaign's name."""
        ...

    async def find(self, recipient: str, text: str, since: int, until: int) -> list[SmsRecord]:
        """What the gateway has taken for this number, with exactly this text, in this window of unix seconds.

        Its index lags behind by a time that nobody documents, and it matches parts of numbers: the caller compares again.
        """
        ...


class Mailer(Protocol):
    """Resend: for a day the same key with the same mail is the same mail; afterwards the key is forgotten."""

    async def send(self, to: str, subject: str, body: str, key: str) -> str:
        """Send one e-mail; returns the mailer's id for it, the same one for a repetition.

        Raises:
            RefusedError: the address or the mail is refused for good.
            KeyConflictError: the key has come with another mail before.
            LaterError: 429, or 409 because our last attempt is still in flight.
            AmbiguousError: timeout, connection lost, 5xx.
        """
        ...
