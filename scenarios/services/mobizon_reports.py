"""Mobizon's delivery reports: the same event id with each try, and a signature that changes with the try's number."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from scenarios.services.deliveries import Message

LADDER_S = tuple(60.0 * minutes for minutes in range(1, 10))  # ten attempts, one minute more between each two


def sign(event_id: int, attempt: int, created: str, secret: str) -> str:
    """``sha1(eventId|attempt|eventCreateTs|secret)``."""
    return hashlib.sha1(f"{event_id}|{attempt}|{created}|{secret}".encode()).hexdigest()  # noqa: S324 - theirs


def report(url: str, secret: str, event_id: int, created: str, attempt: int, data: dict[str, Any]) -> Message:
    """The message of one attempt."""
    body = {
        "eventId": event_id,
        "eventType": "sms-delivery-report",
        "eventCreateTs": created,
        "webhookId": 1,
        "attempt": attempt,
        "data": data,
        "sign": sign(event_id, attempt, created, secret),
    }
    return Message(url, json.dumps(body).encode())
