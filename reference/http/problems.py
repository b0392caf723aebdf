"""The one shape in which this door says no: a problem document (RFC 9457), without a traceback and without what was sent."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem: what clients tell apart.

    Args:
        name: stands in ``type``, and does not change.
        status: of the answer.
        title: the same for every problem of this kind.
    """

    name: str
    status: int
    title: str


MALFORMED = Kind("malformed", 400, "The body is not JSON")
BAD_SIGNATURE = Kind("bad-signature", 400, "The signature does not vouch for this body at this time")
NOT_AUTHENTICATED = Kind("not-authenticated", 401, "The secret is missing or wrong")
WRONG_SOURCE = Kind("wrong-source", 403, "This address may not send this")
NOT_FOUND = Kind("not-found", 404, "There is no such thing")
WRONG_METHOD = Kind("wrong-method", 405, "This cannot be done here")
REFUSED = Kind("refused", 409, "This is not possible now")
TOO_LARGE = Kind("too-large", 413, "The body is too large")
WRONG_MEDIA_TYPE = Kind("wrong-media-type", 415, "The body has to be application/json")
INVALID = Kind("invalid", 422, "What was sent does not have the form that is asked for")
KEY_REUSED = Kind("key-reused", 422, "This key was used for something else")
INTERNAL = Kind("internal", 500, "We have made a mistake")
PROVIDER_REFUSED = Kind("provider-refused", 502, "The payment provider refuses our request")
NOT_NOW = Kind("not-now", 503, "Not now; the same request may be repeated")
NOT_READY = Kind("not-ready", 503, "This process cannot do its work")


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong with what was sent.

    Args:
        pointer: where, as a JSON pointer or the name of a header or parameter.
        detail: what was expected; never what was there, which may be a secret or somebody's number.
    """

    pointer: str
    detail: str


class Problem(Exception):
    """Raised to answer a request with no.

    Args:
        kind: which no.
        detail: for whoever reads it; nothing secret, nothing that was sent.
        mistakes: of an `INVALID` one.
        headers: of the answer.
    """

    def __init__(
        self,
        kind: Kind,
        detail: str,
        *,
        mistakes: Sequence[Mistake] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{kind.name}: {detail}")
        self.kind = kind
        self.detail = detail
        self.mistakes = tuple(mistakes)
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """The problem as an answer."""
        document: dict[str, Any] = {
            "type": f"urn:turnstile:problem:{self.kind.name}",
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
        }
        if self.mistakes:
            document["errors"] = [
                {"pointer": mistake.pointer, "detail": mistake.detail} for mistake in self.mistakes
            ]
        return Response(
            json.dumps(document), self.kind.status, headers={**self.headers, "content-type": MEDIA_TYPE}
        )


def absent(error: LookupError, detail: str) -> Exception:
    """What a flow means by a LookupError; a KeyError or an IndexError is a mistake of ours, and stays one."""
    return Problem(NOT_FOUND, detail) if type(error) is LookupError else error


SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "description": "`urn:turnstile:problem:` and the kind's name"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}
"""As JSON schema, for the API's description."""
