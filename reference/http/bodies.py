"""A body on its way in: measured, told apart by its media type, and read as JSON of the form that is asked for."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import Any

from pydantic import TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect, Request

from reference.http.problems import (
    INVALID,
    MALFORMED,
    TOO_LARGE,
    WRONG_MEDIA_TYPE,
    Mistake,
    Problem,
)

_MISTAKES_MAX = 20  # shown


async def read(request: Request, *, bytes_max: int) -> bytes:
    """All of a body, unless it is too large; what it says of its own length is believed only when that is too much.

    Raises:
        Problem: `TOO_LARGE`, and no more than the limit has been kept in memory; `MALFORMED` if it never came to its end.
    """
    problem = Problem(TOO_LARGE, f"at most {bytes_max} bytes are read", headers={"connection": "close"})
    said = request.headers.get("content-length", "")
    if said.isascii() and said.isdigit() and (len(said) > 15 or int(said) > bytes_max):
        raise problem
    body = bytearray()
    try:
        async with aclosing(request.stream()) as parts:
            async for part in parts:
                body += part
                if len(body) > bytes_max:
                    raise problem
    except ClientDisconnect:  # nobody is there to hear it, and it is no mistake of ours
        raise Problem(MALFORMED, "the connection ended before the body did") from None
    return bytes(body)


def require_json(request: Request) -> None:
    """Refuse what says to be something else than JSON, or nothing.

    Forms and plain text are what a page of somebody else's can make a browser send without being asked.

    Raises:
        Problem: `WRONG_MEDIA_TYPE`.
    """
    media_type, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = [one.partition("=")[2].strip(' "') for one in parameters.split(";") if "charset" in one.lower()]
    if media_type.strip().lower() != "application/json" or any(one.lower() != "utf-8" for one in charset):
        raise Problem(
            WRONG_MEDIA_TYPE, "application/json in UTF-8 is asked for", headers={"accept": "application/json"}
        )


def parse(body: bytes) -> Any:
    """Any JSON.

    Raises:
        Problem: `MALFORMED`.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError):  # not JSON, not UTF-8, a number without end, or brackets without end
        raise Problem(MALFORMED, "the body is not JSON that can be read") from None


def validate(form: TypeAdapter[Any], body: bytes) -> Any:
    """A body of the form that is asked for.

    Raises:
        Problem: `MALFORMED` for what is no JSON, `INVALID` for other JSON.
    """
    try:
        return form.validate_json(body)
    except ValidationError as error:
        if any(
            each["type"] == "json_invalid" for each in error.errors(include_input=False, include_url=False)
        ):
            raise Problem(MALFORMED, "the body is not JSON that can be read") from None
        raise invalid(error) from None


def invalid(error: ValidationError, *, under: str = "") -> Problem:
    """What is wrong with it, without what it was.

    Args:
        error: pydantic's.
        under: where the validated thing stood, if not in the body.
    """
    found = error.errors(include_input=False, include_url=False, include_context=False)
    mistakes = [Mistake(under or _pointer(each["loc"]), each["msg"]) for each in found[:_MISTAKES_MAX]]
    return Problem(
        INVALID,
        f"{len(found)} things are wrong" if len(found) > 1 else "one thing is wrong",
        mistakes=mistakes,
    )


def _pointer(location: tuple[int | str, ...]) -> str:
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in location)
