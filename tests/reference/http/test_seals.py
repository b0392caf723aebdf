"""Our check of Stripe's signature agrees with the official SDK's, except where the SDK's is too kind."""

from __future__ import annotations

from typing import Any

import pytest
import stripe
from freezegun import freeze_time
from starlette.requests import Request

from reference.http.guards import sender_of
from reference.http.problems import Problem
from reference.http.seals import StripeSeal
from reference.http.settings import YOOKASSA_NETWORKS

NOW = 1_767_355_200
SECRET = "whsec_test"
BODY = '{"id": "evt_1", "описание": "чай"}'


def carrying(**headers: str) -> Request:
    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": sent})


def ours(header: str, *, body: str = BODY, seal: StripeSeal | None = None) -> bool:
    seal = seal or StripeSeal((SECRET,), 300)
    try:
        seal.check(carrying(stripe_signature=header), body.encode(), now=NOW)
    except Problem:
        return False
    return True


def theirs(header: str, *, body: str = BODY) -> bool:
    with freeze_time("2026-01-02 12:00:00"):
        try:
            stripe.WebhookSignature.verify_header(body.encode(), header, SECRET, 300)
        except stripe.SignatureVerificationError:
            return False
        return True


def made(**options: Any) -> str:
    given = {"payload": BODY, "secret": SECRET, "timestamp": NOW, **options}
    header: str = stripe.WebhookSignature.generate_signature_header(**given)
    return header


AGREED = {
    "the SDK's own": made(),
    "of five minutes ago": made(timestamp=NOW - 300),
    "of five minutes and a second ago": made(timestamp=NOW - 301),
    "with another secret": made(secret="whsec_other"),
    "of another body": made(payload="{}"),
    "with a second signature that is wrong": f"{made()},v1=00",
    "behind one that is wrong": made().replace(",v1=", ",v1=00,v1="),
    "with a signature of another scheme": f"{made()},v0=00",
    "of another scheme only": made().replace("v1=", "v0="),
    "without a moment": made().partition(",")[2],
    "empty": "",
}


@pytest.mark.parametrize("case", AGREED)
def test_we_agree_with_the_sdk(case: str) -> None:
    """Headers that it makes, and that others make."""
    assert ours(AGREED[case]) == theirs(AGREED[case])


def test_the_cases_are_not_all_of_one_kind() -> None:
    """Some are accepted and some refused."""
    assert {ours(header) for header in AGREED.values()} == {True, False}


def test_a_signature_of_the_future_passes_there_and_not_here() -> None:
    """Whoever has recorded it could send it again for a day."""
    header = made(timestamp=NOW + 100_000)
    assert (theirs(header), ours(header)) == (True, False)
    assert ours(made(timestamp=NOW + 300))


def test_two_moments_are_none() -> None:
    """The SDK takes the first, another reader might take the second."""
    assert not ours(f"t={NOW}," + made())


def test_a_secret_is_replaced_without_a_gap() -> None:
    """Either of the two is good while one replaces the other."""
    seal = StripeSeal(("whsec_old", SECRET), 300)
    assert ours(made(), seal=seal)
    assert ours(made(secret="whsec_old"), seal=seal)
    assert not ours(made(secret="whsec_older"), seal=seal)


def test_a_header_of_a_thousand_signatures_is_not_worked_through() -> None:
    """Ten are more than Stripe sends."""
    assert not ours(made() + ",v1=00" * 10)


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("77.75.156.11", [], "77.75.156.11"),
        ("77.75.156.11", ["1.2.3.4"], "77.75.156.11"),  # not from our proxy: its word is nobody's
        ("10.0.0.1", ["1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", ["9.9.9.9, 1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", ["9.9.9.9", "1.2.3.4, 10.0.0.2"], "1.2.3.4"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["1.2.3.4:5678"], None),
        ("10.0.0.1", ["1.2.3.4, "], None),
        ("::ffff:10.0.0.1", ["2a02:5180::1"], "2a02:5180::1"),
        ("/run/shop.sock", ["1.2.3.4"], None),
        ("", ["1.2.3.4"], None),
    ],
)
def test_a_sender_is_the_first_that_is_none_of_our_proxies(
    peer: str, forwarded: list[str], expected: str | None
) -> None:
    """Counted from our side; what stands to the left of it was written by the sender."""
    from ipaddress import ip_network

    found = sender_of(peer, forwarded, [ip_network("10.0.0.0/8")])
    assert (str(found) if found is not None else None) == expected


def test_the_published_networks_are_seven_and_hold_no_others() -> None:
    """A typing error of one digit would let a provider's neighbours in."""
    assert [str(network) for network in YOOKASSA_NETWORKS] == [
        "185.71.76.0/27",
        "185.71.77.0/27",
        "77.75.153.0/25",
        "77.75.154.128/25",
        "77.75.156.11/32",
        "77.75.156.35/32",
        "2a02:5180::/32",
    ]
