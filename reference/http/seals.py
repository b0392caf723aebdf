"""Signatures over a body: whether it is what its sender sent, and whether it was sent just now."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.requests import Request

from reference.flows.messages_reports import is_signed
from reference.http.problems import BAD_SIGNATURE, Problem

STRIPE_HEADER = "stripe-signature"
_SIGNATURES_MAX = 10  # two while a secret is rolled; more is somebody who wants to keep us busy


class Seal(Protocol):
    """Vouches for a body.

    Attributes:
        headers: which it reads.
    """

    @property
    def headers(self) -> tuple[str, ...]: ...

    def check(self, request: Request, body: bytes, *, now: int) -> None:
        """Look at it.

        Raises:
            Problem: it is broken, missing, or of another time.
        """
        ...


@dataclass(frozen=True, slots=True)
class StripeSeal:
    """``Stripe-Signature: t=<unix>,v1=<hex>[,v1=<hex>]``: HMAC-SHA256 over ``<t>.<body as it came>``.

    By hand, because the SDK refuses moments of the past only: a signature that is dated a year ahead passes there for a year, and
    whoever has recorded it may send it again all that time. It also reads the machine's clock, while ours is the service's.

    Args:
        secrets: of the endpoint, ``whsec_...``; two while one replaces the other.
        tolerance_s: how far the moment may be from ours, to either side.
    """

    secrets: Sequence[str]
    tolerance_s: int

    def __post_init__(self) -> None:
        if not self.secrets or not all(self.secrets):
            raise ValueError("Stripe's webhook secrets hold an empty one: anybody can sign with that")
        if self.tolerance_s <= 0:
            raise ValueError(f"tolerance_s={self.tolerance_s}: a signature must have been made just now")

    def __repr__(self) -> str:
        return f"StripeSeal(tolerance_s={self.tolerance_s})"

    @property
    def headers(self) -> tuple[str, ...]:
        return (STRIPE_HEADER,)

    def check(self, request: Request, body: bytes, *, now: int) -> None:
        """Compare each signature with what each secret gives."""
        stamp, signatures = _parts(request.headers.get(STRIPE_HEADER, ""))
        signed = stamp.encode() + b"." + body
        expected = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in self.secrets]
        # All pairs, whatever is found: how long it takes says nothing.
        right = [
            hmac.compare_digest(ours.encode(), theirs.encode()) for ours in expected for theirs in signatures
        ]
        if not any(right):
            raise Problem(
                BAD_SIGNATURE, f"{STRIPE_HEADER} was not made over this body with the endpoint's secret"
            )
        if abs(now - int(stamp)) > self.tolerance_s:
            raise Problem(BAD_SIGNATURE, f"{STRIPE_HEADER} is more than {self.tolerance_s} s from our clock")


def _parts(header: str) -> tuple[str, list[str]]:
    """The moment, and the ``v1`` signatures."""
    pairs = [part.strip().partition("=") for part in header.split(",")]
    stamps = [value for name, _, value in pairs if name == "t"]
    signatures = [value for name, _, value in pairs if name == "v1"]
    well_formed = len(stamps) == 1 and stamps[0].isascii() and stamps[0].isdigit() and len(stamps[0]) <= 12
    if not (well_formed and 0 < len(signatures) <= _SIGNATURES_MAX):
        raise Problem(BAD_SIGNATURE, f"{STRIPE_HEADER} has to hold one t and at least one v1")
    return stamps[0], signatures


@dataclass(frozen=True, slots=True)
class MobizonSeal:
    """``sign`` in the body: SHA-1 over event, attempt, moment and the secret; not over what it reports.

    Without a limit on its age: a report is repeated for 45 minutes, and what it says costs nothing.

    Args:
        secret: not empty.
    """

    secret: str

    def __post_init__(self) -> None:
        if not self.secret:
            raise ValueError("Mobizon's secret is empty: anybody can sign with that")

    def __repr__(self) -> str:
        return "MobizonSeal()"

    @property
    def headers(self) -> tuple[str, ...]:
        return ()

    def check(self, request: Request, body: bytes, *, now: int) -> None:  # noqa: ARG002 - a seal is given all of it
        """Compare the signature."""
        try:
            signed = is_signed(_object(body), self.secret)
        except UnicodeEncodeError:  # half of a surrogate pair, which JSON can spell and nobody signs
            signed = False
        if not signed:
            raise Problem(BAD_SIGNATURE, "sign was not made with the secret")


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {}
