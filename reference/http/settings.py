"""What the HTTP door has to be told: secrets, addresses, limits. Plain values; where they come from is the caller's business."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network

Network = IPv4Network | IPv6Network

YOOKASSA_NETWORKS: tuple[Network, ...] = tuple(
    ip_network(published)
    for published in (
        "185.71.76.0/27",
        "185.71.77.0/27",
        "77.75.153.0/25",
        "77.75.154.128/25",
        "77.75.156.11/32",
        "77.75.156.35/32",
        "2a02:5180::/32",
    )
)
"""From where YooKassa's notifications come, as published by YooKassa."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """A route whose secret is not set is not there: it answers 404, and a provider that calls it is heard about.

    Args:
        bot_token: who may sell: the bot's bearer token.
        admin_token: who may look and meddle: the staff's bearer token.
        crm_token: the CRM's bearer token.
        metrics_token: whoever scrapes ``/metrics``; empty: anybody who reaches it, for a scraper in one's own network.
        stripe_secrets: of the webhook endpoint, ``whsec_...``; two while one replaces the other.
        stripe_tolerance_s: how far a signature's moment may be from ours, to either side, in seconds.
        platega_merchant_id: ``X-MerchantId`` of Platega's callbacks.
        platega_secret: ``X-Secret`` of Platega's callbacks.
        mobizon_secret: of Mobizon's delivery reports.
        yookassa_networks: who may send YooKassa's notifications; empty: nobody, and the routes are not there.
        trusted_proxies: whose ``X-Forwarded-For`` is believed; empty: nobody's.
        body_max_bytes: a longer body is refused with 413 before it has been read.
    """

    bot_token: str = field(default="", repr=False)
    admin_token: str = field(default="", repr=False)
    crm_token: str = field(default="", repr=False)
    metrics_token: str = field(default="", repr=False)
    stripe_secrets: tuple[str, ...] = field(default=(), repr=False)
    stripe_tolerance_s: int = 300
    platega_merchant_id: str = ""
    platega_secret: str = field(default="", repr=False)
    mobizon_secret: str = field(default="", repr=False)
    yookassa_networks: tuple[Network, ...] = YOOKASSA_NETWORKS
    trusted_proxies: tuple[Network, ...] = ()
    body_max_bytes: int = 256 * 1024
