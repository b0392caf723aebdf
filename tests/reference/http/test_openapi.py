"""The API describes itself, and does what it says: whatever is sent, by whomever, there is no 5xx and no answer that was not announced."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import requests
import schemathesis
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from reference.flows.messages_reports import signature
from reference.http.application import _endpoints
from reference.http.tally import Tally

if TYPE_CHECKING:
    from conftest import Door

EXAMPLES = 20  # per route and kind of data
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
TOKENS = {"botToken": "bot-token", "adminToken": "admin-token", "crmToken": "crm-token"}
ROUTES = [
    ("POST", "/yookassa/webhook"),
    ("POST", "/v1/payments/webhook"),
    ("POST", "/platega/webhook"),
    ("POST", "/stripe/webhook"),
    ("POST", "/mobizon/webhook"),
    ("POST", "/crm/webhook"),
    ("POST", "/v1/payments"),
    ("GET", "/v1/payments/{payment_id}"),
    ("POST", "/api/landing/proftest"),
    ("GET", "/v1/admin/award-retry-stats"),
    ("GET", "/v1/admin/dead-letters"),
    ("POST", "/v1/admin/dead-letters/retry"),
    ("POST", "/v1/admin/deals/{deal_id}/payments/{kind}/new-link"),
    ("GET", "/health"),
    ("GET", "/ready"),
    ("GET", "/metrics"),
]


def described(door: Door) -> dict[str, Any]:
    found: dict[str, Any] = trio.run(door.get, "/openapi.json").json()
    return found


def test_every_route_is_described(synchronous_door: Door) -> None:
    """None is forgotten here, so none is left out below."""
    paths = described(synchronous_door)["paths"]
    assert sorted((method.upper(), path) for path, found in paths.items() for method in found) == sorted(
        ROUTES
    )


def test_the_description_is_openapi_3_1(synchronous_door: Door) -> None:
    """By its own schema."""
    schemathesis.openapi.from_dict(described(synchronous_door)).validate()


def test_every_guarded_route_announces_its_no(synchronous_door: Door) -> None:
    """401 or 403 for who may not come in; 400, 413 and 415 for what is no body."""
    door = synchronous_door
    paths = described(door)["paths"]
    for endpoint in _endpoints(door.shop.service, door.settings, Tally()):
        said = set(paths[endpoint.path][endpoint.method.lower()]["responses"])
        if endpoint.guard.refusal is not None:
            assert str(endpoint.guard.refusal.status) in said
        if endpoint.body is not None:
            assert said >= {"400", "413", "415"}


def prepared(door: Door, case: schemathesis.Case, *, authentic: bool) -> requests.PreparedRequest:
    """The request as schemathesis would send it, and if wanted with everything that proves its sender."""
    kwargs = case.as_transport_kwargs(base_url="https://shop.example")
    kwargs = {name: value for name, value in kwargs.items() if name in REQUEST}
    if authentic:
        security = case.operation.definition.raw.get("security", [{}])[0]
        proofs = {name: proof for name, proof in PLATEGA.items() if name in security}
        bearer = [("authorization", f"Bearer {TOKENS[name]}") for name in security if name in TOKENS]
        kwargs["headers"] = {**dict(kwargs.get("headers") or {}), **proofs, **dict(bearer)}
        if case.operation.path == "/mobizon/webhook" and isinstance(kwargs.get("json"), dict):
            unsigned = {name: value for name, value in kwargs["json"].items() if name != "sign"}
            kwargs["json"] = {**unsigned, "sign": mobizons(unsigned)}
    request = requests.Request(**kwargs).prepare()
    if authentic and case.operation.path == "/stripe/webhook":
        from hashlib import sha256
        from hmac import new

        at = int(door.shop.clock.at)
        proof = new(b"whsec_test_now", f"{at}.".encode() + bytes_of(request), sha256).hexdigest()
        request.headers["stripe-signature"] = f"t={at},v1={proof}"
    return request


REQUEST = ("method", "url", "headers", "params", "data", "json")
PLATEGA = {"X-MerchantId": "merchant-1", "X-Secret": "platega-secret"}


def mobizons(body: dict[str, Any]) -> str:
    try:
        return signature(body, "mobizon-secret")
    except UnicodeEncodeError:
        return ""


def bytes_of(request: requests.PreparedRequest) -> bytes:
    body = request.body or b""
    return body if isinstance(body, bytes) else str(body).encode()


async def send(door: Door, request: requests.PreparedRequest, source: str) -> httpx.Response:
    assert request.method is not None
    transport = httpx.ASGITransport(door.app, client=(source, 1))
    async with httpx.AsyncClient(transport=transport) as client:
        headers = [(name, value) for name, value in request.headers.items() if sendable(value)]
        sent = client.build_request(
            request.method, str(request.url), headers=headers, content=bytes_of(request)
        )
        return await client.send(sent)


def sendable(value: str | bytes) -> bool:
    return (value if isinstance(value, bytes) else value.encode()).isascii()


def is_body_wrong(case: schemathesis.Case) -> bool:
    part = case.meta.components.get(ParameterLocation.BODY) if case.meta is not None else None
    return part is not None and part.mode is GenerationMode.NEGATIVE


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: str(mode.value))
@pytest.mark.parametrize(("method", "path"), ROUTES, ids=lambda value: str(value))
def test_whatever_is_sent_there_is_no_5xx_and_nothing_unannounced(
    synchronous_door: Door, method: str, path: str, mode: GenerationMode
) -> None:
    """Data of the announced form and data of none, with every proof and with none."""
    door = synchronous_door
    operation = schemathesis.openapi.from_dict(described(door))[path][method]
    if mode is GenerationMode.NEGATIVE and not (operation.body or operation.query):
        pytest.skip("there is nothing to get wrong")
    seen: set[int] = set()

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        case=operation.as_strategy(generation_mode=mode), authentic=st.sampled_from((True, True, True, False))
    )
    def fuzz(case: schemathesis.Case, authentic: bool) -> None:
        request = prepared(door, case, authentic=authentic)
        response = trio.run(send, door, request, "77.75.156.11" if authentic else "192.0.2.66")
        seen.add(response.status_code)
        case.validate_response(response, checks=CHECKS)
        if authentic and "webhook" not in path and is_body_wrong(case):
            assert response.status_code >= 400, json.dumps(case.body, default=str)

    fuzz()
    assert mode is GenerationMode.NEGATIVE or seen & {200, 202, 404}, f"only {seen}: nothing got through"


@pytest.mark.parametrize(("method", "path"), ROUTES, ids=lambda value: str(value))
def test_at_the_edges_of_every_form_too(synchronous_door: Door, method: str, path: str) -> None:
    """The smallest and largest of everything, one beyond them, each thing left out, and other methods; each of these once."""
    door = synchronous_door
    schema = schemathesis.openapi.from_dict(described(door))
    operation = schema[path][method]
    config = schema.config.generation_for(operation=operation, phase="coverage")
    cases = schema.iter_coverage_cases(
        operation, generation_modes=list(GenerationMode), generation_config=config
    )
    sent = 0
    for case in cases:
        for authentic in (True, False):
            request = prepared(door, case, authentic=authentic)
            response = trio.run(send, door, request, "77.75.156.11" if authentic else "192.0.2.66")
            # That another method is none of this route's is the only thing that is not announced.
            case.validate_response(response, checks=CHECKS if response.status_code != 405 else CHECKS[:1])
            sent += 1
    assert sent > 0
