"""What an answer of a provider means for whoever has to decide whether to repeat a request, and words about it without secrets.

================================  =================  ==============================================================
answer                            raised             because
================================  =================  ==============================================================
2xx                               nothing            and if it cannot be read: AmbiguousError
429                               LaterError         nothing was done; `retry_after_s` if the provider says so
401, 403                          UnauthorizedError  a LaterError: our configuration, not this request
404 in the provider's words       MissingError       a RefusedError; "none" at a look-up
other 4xx in its words            RefusedError       it will say no again
4xx in other words                AmbiguousError     something between us has answered, and who knows for whom
3xx, 5xx                          AmbiguousError     it may have been done
no connection came about          LaterError         nothing was sent
no answer, or half of one         AmbiguousError     it may have been done
================================  =================  ==============================================================

Where a provider means something else by a status, its client says so (`reference.clients.telegram`: 403 is for ever).
"""

from __future__ import annotations

from collections.abc import Iterable

from reference.ports import AmbiguousError, LaterError, RefusedError, RemoteError

_WORDS_MAX = 300


class MissingError(RefusedError):
    """The provider says that it has no such thing."""


class UnauthorizedError(LaterError):
    """Our key is not taken: nothing was done, and asking again at once would not help."""


def of_status(
    status: int, words: str | None, *, code: str | None = None, retry_after_s: float | None = None
) -> RemoteError | None:
    """The error of an answer by its status; None when there is none.

    Args:
        status: of HTTP.
        words: what the provider says in its own shape of errors; None when the body has not that shape.
        code: the provider's own word or number.
        retry_after_s: how long it asks us to wait.
    """
    if 200 <= status < 300:
        return None
    told = f"{status} {words if words is not None else '(no words of the provider)'}"
    if status == 429:
        return LaterError(told, code=code, retry_after_s=retry_after_s)
    if status in (401, 403):
        return UnauthorizedError(told, code=code)
    if 400 <= status < 500 and words is not None:
        return (MissingError if status == 404 else RefusedError)(told, code=code)
    return AmbiguousError(told, code=code, retry_after_s=retry_after_s)


def scrubbed(text: str, secrets: Iterable[str]) -> str:
    """A text without the secrets, and not longer than a log line can bear: a provider may repeat what it was sent."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return text if len(text) <= _WORDS_MAX else f"{text[:_WORDS_MAX]}..."
