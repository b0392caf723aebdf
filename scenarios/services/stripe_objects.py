"""What a Checkout Session looks like, and what one may be made of."""

from __future__ import annotations

from typing import Any

from scenarios.services.plumbing import NotModelled
from scenarios.services.stripe_errors import invalid_parameter
from scenarios.services.stripe_parameters import require

EXPIRES_MIN_S, EXPIRES_MAX_S = 30 * 60, 24 * 60 * 60


def check_item(name: str, item: dict[str, Any]) -> None:
    """What is wrong with one line item of a request.

    Raises:
        Refused: something required is missing, or a value is out of bounds.
    """
    price = item.get("price_data")
    if price is None:
        raise NotModelled("the stand-in knows line items by price_data, not by the id of a price")
    for needed in ("currency", "unit_amount"):
        if needed not in price:
            require({f"{name}[price_data][{needed}]": None}, f"{name}[price_data][{needed}]")
    if "product" not in price and "product_data" not in price:
        require({}, f"{name}[price_data][product_data]")
    if price["unit_amount"] < 0 or item.get("quantity", 1) < 1:
        raise invalid_parameter(name, "Invalid non-negative integer", code="parameter_invalid_integer")


def new_session(identifier: str, now: int, parameters: dict[str, Any]) -> dict[str, Any]:
    """An open session as the API shows it; every field that is required, and those that somebody looks at."""
    items = parameters["line_items"]
    amount = sum(item["price_data"]["unit_amount"] * item.get("quantity", 1) for item in items)
    recovery = parameters.get("after_expiration", {}).get("recovery")
    if recovery is not None:
        recovery = {
            "allow_promotion_codes": False,
            "enabled": False,
            "expires_at": None,
            "url": None,
        } | recovery
    return {
        "id": identifier,
        "object": "checkout.session",
        "after_expiration": {"recovery": recovery} if recovery else None,
        "amount_subtotal": amount,
        "amount_total": amount,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "cancel_url": parameters.get("cancel_url"),
        "client_reference_id": parameters.get("client_reference_id"),
        "created": now,
        "currency": items[0]["price_data"]["currency"].lower(),
        "custom_fields": [],
        "custom_text": {
            "after_submit": None,
            "shipping_address": None,
            "submit": None,
            "terms_of_service_acceptance": None,
        },
        "customer": parameters.get("customer"),
        "customer_details": None,
        "customer_email": parameters.get("customer_email"),
        "expires_at": parameters.get("expires_at", now + EXPIRES_MAX_S),
        "invoice": None,
        "livemode": False,
        "locale": parameters.get("locale"),
        "metadata": dict(parameters.get("metadata", {})),
        "mode": parameters["mode"],
        "payment_intent": None,
        "payment_link": None,
        "payment_method_types": parameters.get("payment_method_types", ["card"]),
        "payment_status": "unpaid" if amount else "no_payment_required",
        "recovered_from": None,
        "setup_intent": None,
        "shipping_options": [],
        "status": "open",
        "submit_type": parameters.get("submit_type"),
        "subscription": None,
        "success_url": parameters["success_url"],
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page",
        "url": f"https://checkout.example.com/c/pay/{identifier}",
    }
