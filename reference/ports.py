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

Clock = Callable[[], float]
"""Unix seconds."""


def wall_clock() -> float:
    """The machine's clock, looked up at the moment of the call so that a frozen or simulated `time.time` is seen."""
    return time.time()


class RefusedError(Exception):
    """The remote side said no and will say no again: a blocked bot, a deleted server. Repeating is pointless."""


class AmbiguousError(Exception):
    """The request went out and no answer came: the effect may or may not have happened."""


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
    """YooKassa or Platega."""

    async def create(self, request: PaymentRequest) -> CreatedPayment:
        """Make a payment that waits for the buyer."""
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
            RefusedError: 403, the user has blocked the bot.
            AmbiguousError: the connection was lost after the request had been written.
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
