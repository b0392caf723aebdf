"""Who may come in, decided before a byte of the body is read: by a token, by an address, or by a provider's shared secret.

Secrets are compared in constant time, and no refusal says how near somebody came.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Protocol

from starlette.requests import Request

from reference.http.problems import NOT_AUTHENTICATED, WRONG_SOURCE, Kind, Problem
from reference.http.settings import Network

Address = IPv4Address | IPv6Address


class Guard(Protocol):
    """Stands before a route.

    Attributes:
        refusal: how it says no; None: it never does.
        schemes: OpenAPI's security schemes by name, all of which are asked for.
    """

    @property
    def refusal(self) -> Kind | None: ...

    @property
    def schemes(self) -> Mapping[str, Mapping[str, Any]]: ...

    def admit(self, request: Request) -> None:
        """Let a request pass.

        Raises:
            Problem: it may not.
        """
        ...


@dataclass(frozen=True, slots=True)
class Anybody:
    """No guard."""

    @property
    def refusal(self) -> None:
        return None

    @property
    def schemes(self) -> Mapping[str, Mapping[str, Any]]:
        return {}

    def admit(self, request: Request) -> None:
        """Let everybody pass."""


@dataclass(frozen=True, slots=True)
class Bearer:
    """``Authorization: Bearer <token>``.

    Args:
        name: of whose token it is.
        token: not empty.
    """

    name: str
    token: str

    def __post_init__(self) -> None:
        _require(self.token, f"the {self.name}'s token")

    def __repr__(self) -> str:
        return f"Bearer({self.name!r})"

    @property
    def refusal(self) -> Kind:
        return NOT_AUTHENTICATED

    @property
    def schemes(self) -> Mapping[str, Mapping[str, Any]]:
        return {f"{self.name}Token": {"type": "http", "scheme": "bearer"}}

    def admit(self, request: Request) -> None:
        """Compare the token."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if not (_equal(token.strip(), self.token) and scheme.lower() == "bearer"):
            raise Problem(
                NOT_AUTHENTICATED,
                f"the {self.name}'s bearer token is asked for",
                headers={"www-authenticate": "Bearer"},
            )


@dataclass(frozen=True, slots=True)
class SharedSecret:
    """A pair of headers that a provider sends along: Platega's only proof.

    Args:
        headers: names and what is expected in them; nothing empty.
    """

    headers: Mapping[str, str]

    def __post_init__(self) -> None:
        for name, value in self.headers.items():
            _require(value, f"what {name} is to hold")

    def __repr__(self) -> str:
        return f"SharedSecret({list(self.headers)!r})"

    @property
    def refusal(self) -> Kind:
        return NOT_AUTHENTICATED

    @property
    def schemes(self) -> Mapping[str, Mapping[str, Any]]:
        return {name: {"type": "apiKey", "in": "header", "name": name} for name in self.headers}

    def admit(self, request: Request) -> None:
        """Compare all of them, also when the first is wrong already."""
        right = [_equal(request.headers.get(name, ""), value) for name, value in self.headers.items()]
        if not all(right):
            names = " and ".join(self.headers)
            raise Problem(
                NOT_AUTHENTICATED,
                f"{names} are asked for",
                headers={"www-authenticate": f'SharedSecret realm="{names}"'},
            )


@dataclass(frozen=True, slots=True)
class Source:
    """An address from which a provider sends: YooKassa's only proof, apart from asking it back.

    Args:
        networks: from where.
        proxies: whose ``X-Forwarded-For`` is believed.
    """

    networks: Sequence[Network]
    proxies: Sequence[Network]

    @property
    def refusal(self) -> Kind:
        return WRONG_SOURCE

    @property
    def schemes(self) -> Mapping[str, Mapping[str, Any]]:
        return {}

    def admit(self, request: Request) -> None:
        """Look where it comes from."""
        client = request.client.host if request.client is not None else ""
        sender = sender_of(client, request.headers.getlist("x-forwarded-for"), self.proxies)
        if sender is None or not _within(sender, self.networks):
            raise Problem(WRONG_SOURCE, "this is not one of the provider's published addresses")


def sender_of(peer: str, forwarded: Sequence[str], proxies: Sequence[Network]) -> Address | None:
    """Who sent a request: the first address, from our side, that is none of our own proxies'.

    Everything to the left of it was written by that sender, who can write there what they like.

    Args:
        peer: the other end of our connection.
        forwarded: the values of ``X-Forwarded-For``, in order; each proxy adds the address of *its* peer at the end.
        proxies: whose word counts.

    Returns:
        The address; None when it cannot be told, which is nobody's.
    """
    hops = [hop.strip() for value in forwarded for hop in value.split(",")]
    sender = _address(peer)
    while sender is not None and hops and _within(sender, proxies):
        sender = _address(hops.pop())
    return sender


def _address(text: str) -> Address | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found  # a socket that listens on both families shows IPv4 as ::ffff:...


def _within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def _equal(sent: str, expected: str) -> bool:
    return hmac.compare_digest(sent.encode(), expected.encode())


def _require(secret: str, what: str) -> None:
    if not secret:
        raise ValueError(f"{what} is empty: then anybody would pass who sends nothing")
