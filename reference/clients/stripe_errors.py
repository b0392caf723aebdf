"""What an error of Stripe's SDK means for whoever has to decide whether to repeat a request: one of four words.

====================================  ==========================  ======================================================
Stripe                                raised by the SDK           raised here
====================================  ==========================  ======================================================
400, 404 ``idempotency_error``        IdempotencyError            KeyConflictError
400, 402, 404, other                  InvalidRequestError ...     RefusedError (404 ``resource_missing``: None, at look-up)
401, 403                              AuthenticationError ...     LaterError: our configuration, not this request
409 in use, ``lock_timeout``          APIError, ``code`` None     LaterError
429, 400 ``rate_limit``               RateLimitError              LaterError
5xx                                   APIError                    AmbiguousError
no answer, or one nobody can read     APIConnectionError, any     AmbiguousError
====================================  ==========================  ======================================================

``Stripe-Should-Retry`` is not read: it advises a client that would repeat at once, and ours repeats minutes later, or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from reference.clients.errors import MissingError
from reference.ports import AmbiguousError, KeyConflictError, LaterError, RefusedError, RemoteError

if TYPE_CHECKING:
    import stripe

_LATER_STATUSES = (401, 403, 409, 429)


def translated(error: stripe.StripeError) -> RemoteError:
    """What an error of the SDK means for whoever has to decide whether to repeat.

    The class is not enough: a 409 is a plain `APIError` whose `code` is None, so status and body are read.
    """
    status, kind, code = error.http_status, *_kind_and_code(error.json_body)
    words = f"{status or 'no status'} {code or kind or type(error).__name__}: {error.user_message or error}"
    kind_of_error = _of(status, kind, code)
    if kind is None and kind_of_error is AmbiguousError and status is not None and 400 <= status < 500:
        words = f"{words} (not in Stripe's words: something between us has answered)"
    return kind_of_error(words, code=code or kind)


def _of(status: int | None, kind: str | None, code: str | None) -> type[RemoteError]:
    if status is None or status >= 500 or status < 400:
        return AmbiguousError
    if kind is None and status not in _LATER_STATUSES:
        return AmbiguousError
    if kind == "idempotency_error" and code != "idempotency_key_in_use" and status != 409:
        return KeyConflictError
    if status in _LATER_STATUSES or code == "rate_limit":
        return LaterError
    return MissingError if (status, code) == (404, "resource_missing") else RefusedError


def _kind_and_code(body: object) -> tuple[str | None, str | None]:
    error = body.get("error") if isinstance(body, Mapping) else None
    if not isinstance(error, Mapping):
        return None, None
    return error.get("type"), error.get("code")
