"""What YooKassa's endpoints take, what its errors look like, and how it writes money and time."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from scenarios.services.plumbing import Refused, Request, answer_json

KEY_MAX = 64
_METADATA_KEYS_MAX, _METADATA_KEY_MAX, _METADATA_VALUE_MAX = 16, 32, 512
CREATE_PAYMENT: Mapping[str, type] = {
    "amount": dict,
    "capture": bool,
    "confirmation": dict,
    "description": str,
    "metadata": dict,
    "payment_method_data": dict,
}
CREATE_REFUND: Mapping[str, type] = {"amount": dict, "description": str, "payment_id": str}
CAPTURE: Mapping[str, type] = {"amount": dict}
CANCEL: Mapping[str, type] = {}
LIST_PAYMENTS = {
    "created_at.gte",
    "created_at.gt",
    "created_at.lte",
    "created_at.lt",
    "cursor",
    "limit",
    "status",
}
LIST_REFUNDS = LIST_PAYMENTS | {"payment_id"}
_COMPARE: dict[str, Callable[[str, str], bool]] = {
    "gte": lambda created, bound: created >= bound,
    "gt": lambda created, bound: created > bound,
    "lte": lambda created, bound: created <= bound,
    "lt": lambda created, bound: created < bound,
}


def yookassa_error(status: int, code: str, description: str, *, parameter: str = "") -> Refused:
    """An error in YooKassa's shape."""
    body = {
        "type": "error",
        "id": "00000000-0000-4000-8000-000000000000",
        "code": code,
        "description": description,
    }
    return Refused(answer_json(body | ({"parameter": parameter} if parameter else {}), status))


def invalid(parameter: str, description: str) -> Refused:
    """A parameter is wrong."""
    return yookassa_error(400, "invalid_request", description, parameter=parameter)


def read(request: Request, shapes: Mapping[str, type]) -> dict[str, Any]:
    """The body of a POST.

    Raises:
        Refused: it is no JSON object, has a name that YooKassa does not know, or a value of another type.
    """
    try:
        body = request.json_object()
    except ValueError:
        raise yookassa_error(400, "invalid_request", "The request body is not a valid JSON object") from None
    for name, value in body.items():
        if name not in shapes:
            raise invalid(name, f"Unknown parameter {name}")
        if not isinstance(value, shapes[name]):
            raise invalid(name, f"Incorrect value of {name}")
    return body


def key_of(request: Request) -> str:
    """The idempotence key, in their spelling; every POST needs one."""
    key = request.headers.get("idempotence-key", "")
    if not key:
        raise invalid("Idempotence-Key", "Idempotence key is missing")
    if len(key) > KEY_MAX:
        raise invalid("Idempotence-Key", f"Idempotence key is too long: {len(key)} of {KEY_MAX} characters")
    return key


def check_payment(body: Mapping[str, Any]) -> None:
    """What is wrong with a payment that is to be made."""
    kopecks(body.get("amount"))
    confirmation = body.get("confirmation", {})
    url = confirmation.get("return_url")
    if confirmation.get("type") == "redirect" and not (isinstance(url, str) and url):
        raise invalid("confirmation.return_url", "Return URL is missing")
    metadata = body.get("metadata", {})
    if len(metadata) > _METADATA_KEYS_MAX:
        raise invalid("metadata", f"Metadata has more than {_METADATA_KEYS_MAX} keys")
    for key, value in metadata.items():
        if len(key) > _METADATA_KEY_MAX or not isinstance(value, str) or len(value) > _METADATA_VALUE_MAX:
            raise invalid("metadata", f"Metadata key or value is too long, or no text: {key}")


def kopecks(amount: Any) -> int:
    """An amount in its smallest unit; YooKassa takes a text with two decimals and nothing else.

    Raises:
        Refused: it is something else.
    """
    value = amount.get("value") if isinstance(amount, dict) else None
    if not isinstance(value, str) or not re.fullmatch(r"\d+\.\d\d", value) or value == "0.00":
        raise invalid("amount.value", "Incorrect amount")
    if not re.fullmatch(r"[A-Z]{3}", str(amount.get("currency", ""))):
        raise invalid("amount.currency", "Incorrect currency")
    return int(value.replace(".", ""))


def money(units: int, currency: str) -> dict[str, str]:
    """An amount as YooKassa writes it."""
    return {"value": f"{units // 100}.{units % 100:02}", "currency": currency}


def moment(at: float) -> str:
    """A time as YooKassa writes it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{int(at * 1000) % 1000:03}Z"


def page(objects: list[dict[str, Any]], request: Request, names: set[str]) -> dict[str, Any]:
    """A list, newest first; ``next_cursor`` is there when there is more.

    Raises:
        Refused: a filter that YooKassa does not have, a limit out of bounds, an unknown cursor.
    """
    asked = dict(request.query)
    for name in asked:
        if name not in names:
            raise invalid(name, f"Unknown parameter {name}")
    limit = asked.pop("limit", "10")
    if not limit.isdigit() or not 1 <= int(limit) <= 100:
        raise invalid("limit", "Limit is out of bounds: 1 to 100")
    newest = list(reversed(objects))
    cursor = asked.pop("cursor", None)
    if cursor is not None:
        places = [place for place, one in enumerate(newest) if one["id"] == cursor]
        if not places:
            raise invalid("cursor", "Unknown cursor")
        newest = newest[places[0] :]
    found = [one for one in newest if all(_matches(one, name, value) for name, value in asked.items())]
    items = found[: int(limit)]
    more = {"next_cursor": found[len(items)]["id"]} if len(found) > len(items) else {}
    return {"type": "list", "items": items, **more}


def _matches(one: dict[str, Any], name: str, value: str) -> bool:
    if name.startswith("created_at."):
        return _COMPARE[name.partition(".")[2]](one["created_at"], value)
    return bool(one[name] == value)
