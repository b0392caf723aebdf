"""What the clients have to be told: accounts, addresses, patience. Plain frozen values; where they come from is the caller's business.

A secret never shows in a `repr`. Every base URL can lead to a stand-in instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a client waits, and how often it asks again by itself.

    Args:
        connect_s: until a connection has come about; until then nothing has been sent.
        attempt_s: for one request, from its first byte to the last of its answer.
        total_s: for a call with all of its attempts and pauses. Every lease that calls are made under is longer: messages
            20 s for the call, jobs 60 s.
        attempts_max: 1: never again.
        pause_first_s: before the second attempt; doubled for each further one, and between half and all of it by chance.
        pause_max_s: the longest pause of our own choice. A provider's ``retry_after`` is kept to if it fits into `total_s`.

    Raises:
        ValueError: a number that makes no sense.
    """

    connect_s: float = 5.0
    attempt_s: float = 10.0
    total_s: float = 18.0
    attempts_max: int = 3
    pause_first_s: float = 0.5
    pause_max_s: float = 4.0

    def __post_init__(self) -> None:
        if not 0 < self.connect_s <= self.attempt_s <= self.total_s:
            raise ValueError(
                "expected 0 < connect_s <= attempt_s <= total_s; "
                f"got {self.connect_s}, {self.attempt_s}, {self.total_s}"
            )
        if self.attempts_max < 1 or not 0 <= self.pause_first_s <= self.pause_max_s:
            raise ValueError(
                "expected attempts_max >= 1 and 0 <= pause_first_s <= pause_max_s; "
                f"got {self.attempts_max}, {self.pause_first_s}, {self.pause_max_s}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class YooKassaAccount:
    """A shop at YooKassa."""

    shop_id: str
    secret_key: str = field(repr=False)
    base_url: str = "https://api.yookassa.ru"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlategaAccount:
    """A merchant at Platega."""

    merchant_id: str
    secret: str = field(repr=False)
    base_url: str = "https://app.platega.io"


@dataclass(frozen=True, slots=True, kw_only=True)
class StripeAccount:
    """An account at Stripe; its key may be a restricted one that writes Checkout Sessions and reads payment intents."""

    api_key: str = field(repr=False)
    base_url: str = "https://api.stripe.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class MobizonAccount:
    """An account at Mobizon.

    Args:
        api_key: goes into the query of every request, because the API has no other place for it.
        sender: the signature that recipients see; empty: Mobizon's own.
        utc_offset_s: of the times in Mobizon's lists, which name no zone: they are the account's.
        base_url: differs by country.
    """

    api_key: str = field(repr=False)
    sender: str = ""
    utc_offset_s: int = 0
    base_url: str = "https://api.mobizon.kz"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResendAccount:
    """An account at Resend; a sender that changes makes every mail that is being repeated another mail (409)."""

    api_key: str = field(repr=False)
    sender: str
    base_url: str = "https://api.resend.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class TelegramBot:
    """A bot; its token goes into the path of every request, because the API has no other place for it."""

    token: str = field(repr=False)
    base_url: str = "https://api.telegram.org"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyServer:
    """One V2Ray server."""

    base_url: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """Who is called, and with what patience. What is None is not there, and a service put together with it says so.

    Args:
        yookassa: for purchases.
        platega: for purchases.
        stripe: for the payments of deals.
        mobizon: for the SMS to leads.
        resend: for the mails to leads.
        telegram: for notices and alerts.
        key_servers: by the id that they have in our table ``servers``.
        patience: of all clients.
    """

    yookassa: YooKassaAccount | None = None
    platega: PlategaAccount | None = None
    stripe: StripeAccount | None = None
    mobizon: MobizonAccount | None = None
    resend: ResendAccount | None = None
    telegram: TelegramBot | None = None
    key_servers: Mapping[str, KeyServer] = field(default_factory=dict)
    patience: Patience = Patience()
