"""Stripe's errors, in Stripe's shape and words."""

from __future__ import annotations

from typing import Any

from scenarios.services.plumbing import Refused, answer_json

_DOCS = "https://docs.stripe.com/error-codes"


def stripe_error(
    message: str, *, status: int = 400, kind: str = "invalid_request_error", code: str = "", param: str = ""
) -> Refused:
    """Any error."""
    error: dict[str, Any] = {"message": message, "type": kind}
    if code:
        error |= {"code": code, "doc_url": f"{_DOCS}#{code.replace('_', '-')}"}
    if param:
        error["param"] = param
    return Refused(answer_json({"error": error}, status))


def unknown_url(method: str, path: str) -> Refused:
    """There is no such endpoint."""
    return stripe_error(
        f"Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs or we can help at "
        "https://support.stripe.com/.",
        status=404,
    )


def unauthorized() -> Refused:
    """No key, or none of Stripe's; before everything else but the rate limiter."""
    return stripe_error(
        "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth "
        "(e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
        status=401,
    )


def rate_limited() -> Refused:
    """Too many requests; it comes before the idempotency layer, so nothing is kept."""
    return stripe_error(
        "Request rate limit exceeded. You can learn more about rate limits here https://docs.stripe.com/rate-limits.",
        status=429,
        code="rate_limit",
    )


def unknown_parameter(name: str) -> Refused:
    """Stripe has no such parameter here."""
    return stripe_error(f"Received unknown parameter: {name}", code="parameter_unknown", param=name)


def missing_parameter(name: str) -> Refused:
    """A required parameter was not sent."""
    return stripe_error(f"Missing required param: {name}.", code="parameter_missing", param=name)


def invalid_parameter(name: str, message: str, *, code: str = "") -> Refused:
    """A parameter has a value that it cannot have."""
    return stripe_error(message, code=code, param=name)


def no_such(kind: str, identifier: str, param: str, *, status: int = 404) -> Refused:
    """There is no such object."""
    return stripe_error(
        f"No such {kind}: '{identifier}'", status=status, code="resource_missing", param=param
    )


def key_in_use() -> Refused:
    """A request with this key is at work right now; nothing is kept, the key may be tried again."""
    return stripe_error(
        "There is currently another in-progress request using this Idempotent Key (that probably means you submitted "
        "twice, and the other request is still going through). Please try again later.",
        status=409,
        code="idempotency_key_in_use",
    )


def other_parameters(key: str) -> Refused:
    """The key belongs to a request with other parameters."""
    return stripe_error(
        "Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a "
        f"key other than '{key}' if you meant to execute a different request.",
        kind="idempotency_error",
    )


def other_endpoint(key: str, now: str, first: str) -> Refused:
    """The key belongs to a request to another endpoint."""
    return stripe_error(
        "Keys for idempotent requests can only be used for the same endpoint they were first used for "
        f"('{now}' vs '{first}'). Try using a key other than '{key}' if you meant to execute a different request.",
        kind="idempotency_error",
    )


def something_went_wrong() -> Refused:
    """A 500: it says nothing about whether there was an effect."""
    return stripe_error("An unknown error occurred", status=500, kind="api_error")
