"""What the deployed code stood on: the database door, Stripe, the bot; handed in by whoever runs it."""

from dataclasses import dataclass
from typing import Protocol

from scenarios.incidents.deal_1680.deployed.stripe_api import StripeApi
from scenarios.incidents.subscription_224.deployed.deployment import OpenAsyncConnection


class Notifier(Protocol):
    """Who tells the customer; False: the customer was not told."""

    async def send_message(self, user_id: int, text: str, /) -> bool: ...


@dataclass(frozen=True, slots=True)
class Deployment:
    """Everything outside the deployed code that it calls."""

    open_async_connection: OpenAsyncConnection
    stripe: StripeApi
    notifier: Notifier
