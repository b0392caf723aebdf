"""What Stripe's endpoints take: forms with brackets, unknown names refused, values checked before anything begins.

A shape says what a parameter is: ``int``, ``str``, ``bool``, a tuple of allowed words, a list (of one shape), a dict (of
names), or `TEXTS` (names are free). A name that Stripe has and this stand-in does not model is no error of Stripe's: it
raises `NotModelled`, so that a test never believes an answer that the real service would not give.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from scenarios.services.plumbing import NotModelled
from scenarios.services.stripe_errors import invalid_parameter, missing_parameter, unknown_parameter

TEXTS = object()


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_METADATA_KEYS_MAX, _METADATA_KEY_MAX, _METADATA_VALUE_MAX = 50, 40, 500
_RANGE = {"gt": int, "gte": int, "lt": int, "lte": int}
_PRODUCT = {"name": str, "description": str, "metadata": TEXTS}
_PRICE = {"currency": str, "unit_amount": int, "product": str, "product_data": _PRODUCT}

CREATE_SESSION: dict[str, Any] = {
    "after_expiration": {"recovery": {"enabled": bool, "allow_promotion_codes": bool}},
    "cancel_url": str,
    "client_reference_id": str,
    "currency": str,
    "customer": str,
    "customer_email": str,
    "expand": [str],
    "expires_at": int,
    "line_items": [{"price_data": _PRICE, "quantity": int, "metadata": TEXTS}],
    "locale": str,
    "metadata": TEXTS,
    "mode": ("payment", "setup", "subscription"),
    "payment_intent_data": {"description": str, "metadata": TEXTS, "receipt_email": str},
    "payment_method_types": [str],
    "submit_type": ("auto", "book", "donate", "pay", "subscribe"),
    "success_url": str,
    "ui_mode": ("elements", "embedded_page", "hosted_page"),
}
CREATE_SESSION_NOT_MODELLED = _names(
    "adaptive_pricing allow_promotion_codes automatic_tax billing_address_collection branding_settings "
    "consent_collection custom_fields custom_text customer_account customer_creation customer_update discounts "
    "excluded_payment_method_types integration_identifier invoice_creation managed_payments name_collection "
    "optional_items origin_context payment_method_collection payment_method_configuration payment_method_data "
    "payment_method_options permissions phone_number_collection redirect_on_completion return_url "
    "saved_payment_method_options setup_intent_data shipping_address_collection shipping_options subscription_data "
    "tax_id_collection wallet_options"
)
LIST_SESSIONS: dict[str, Any] = {
    "created": _RANGE,
    "customer": str,
    "customer_details": {"email": str},
    "ending_before": str,
    "expand": [str],
    "limit": int,
    "payment_intent": str,
    "starting_after": str,
    "status": ("complete", "expired", "open"),
}
LIST_SESSIONS_NOT_MODELLED = frozenset({"customer_account", "payment_link", "subscription"})
CREATE_REFUND: dict[str, Any] = {
    "amount": int,
    "charge": str,
    "expand": [str],
    "metadata": TEXTS,
    "payment_intent": str,
    "reason": ("duplicate", "fraudulent", "requested_by_customer"),
}
CREATE_REFUND_NOT_MODELLED = _names(
    "currency customer instructions_email origin refund_application_fee reverse_transfer"
)
LIST_REFUNDS: dict[str, Any] = {
    "charge": str,
    "created": _RANGE,
    "ending_before": str,
    "expand": [str],
    "limit": int,
    "payment_intent": str,
    "starting_after": str,
}
EXPAND_ONLY: dict[str, Any] = {"expand": [str]}


def read(
    pairs: Iterable[tuple[str, str]], shape: Mapping[str, Any], *, not_modelled: Iterable[str] = ()
) -> dict[str, Any]:
    """Parameters as nested values.

    Raises:
        Refused: an unknown name, or a value that its parameter cannot have.
        NotModelled: a name that Stripe knows and this stand-in does not.
    """
    nested = _nested(pairs)
    unmodelled = sorted(set(nested) & set(not_modelled))
    if unmodelled:
        raise NotModelled(f"Stripe takes {unmodelled[0]!r} here and the stand-in does not model it")
    if nested.get("expand"):
        raise NotModelled("expand[]: the stand-in returns ids and expands nothing")
    return {name: _value(name, value, _known(shape, name, name)) for name, value in nested.items()}


def require(parameters: Mapping[str, Any], *names: str) -> None:
    """Refuses a request without them."""
    for name in names:
        if parameters.get(name) in (None, "", [], {}):
            raise missing_parameter(name)


def _nested(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    top: dict[str, Any] = {}
    for name, value in pairs:
        first, *inner = re.findall(r"[^\[\]]+|(?<=\[)(?=\])", name) or [name]
        keys = [first, *inner]
        here = top
        for key in keys[:-1]:
            here = here.setdefault(key, {})
            if not isinstance(here, dict):
                raise invalid_parameter(name, f"Invalid {first}: both a value and an object")
        here[keys[-1] or str(len(here))] = value
    return top


def _known(shape: Mapping[str, Any], name: str, full: str) -> Any:
    if name not in shape:
        raise unknown_parameter(full)
    return shape[name]


def _value(name: str, value: Any, shape: Any) -> Any:
    if shape is TEXTS:
        return _texts(name, value)
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            raise _wrong("object", name)
        inner = {key: (f"{name}[{key}]", one) for key, one in value.items()}
        return {key: _value(full, one, _known(shape, key, full)) for key, (full, one) in inner.items()}
    if isinstance(shape, list):
        if not isinstance(value, dict):
            raise _wrong("array", name)
        return [_value(f"{name}[{number}]", one, shape[0]) for number, one in enumerate(value.values())]
    if isinstance(value, dict):
        raise _wrong("string", name)
    return _scalar(name, value, shape)


def _scalar(name: str, value: str, shape: Any) -> Any:
    if shape is int:
        if not re.fullmatch(r"-?\d+", value):
            raise invalid_parameter(name, f"Invalid integer: {value}", code="parameter_invalid_integer")
        return int(value)
    if shape is bool:
        if value not in ("true", "false"):
            raise invalid_parameter(name, f"Invalid boolean: {value}")
        return value == "true"
    if isinstance(shape, tuple) and value not in shape:
        raise invalid_parameter(
            name, f"Invalid {name}: must be one of {', '.join(shape[:-1])}, or {shape[-1]}"
        )
    return value


def _texts(name: str, value: Any) -> dict[str, str]:
    if value == "":
        return {}
    if not isinstance(value, dict) or any(isinstance(one, dict) for one in value.values()):
        raise _wrong("hash", name)
    if len(value) > _METADATA_KEYS_MAX:
        raise invalid_parameter(
            name, f"Metadata can have up to {_METADATA_KEYS_MAX} keys; you have {len(value)}."
        )
    for key, text in value.items():
        if len(key) > _METADATA_KEY_MAX or len(text) > _METADATA_VALUE_MAX:
            raise invalid_parameter(
                name,
                f"Metadata keys can have up to {_METADATA_KEY_MAX} characters and values up to {_METADATA_VALUE_MAX}",
            )
    return dict(value)


def _wrong(kind: str, name: str) -> Exception:
    return invalid_parameter(
        name, f"Invalid {kind}", code=f"parameter_invalid_{kind}" if kind == "string" else ""
    )
