"""How Mobizon is asked: forms with brackets or JSON, ids as arrays or texts, pages from zero, errors with codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from scenarios.services.plumbing import Request

T = TypeVar("T")
_PAGE_SIZES = (25, 50, 100)


class MobizonError(Exception):
    """An answer with a code other than 0."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


def flat_form(request: Request) -> dict[str, str]:
    """The body with names as in a form: ``params[name]``, ``ids[0]``."""
    if "json" not in request.headers.get("content-type", ""):
        return dict(request.form())
    try:
        body = request.json()
    except ValueError:
        raise MobizonError(6, "The body is not valid JSON") from None
    if not isinstance(body, dict):
        raise MobizonError(6, "The body is not an object")
    return {name: str(value) for name, value in _flat(body, "")}


def _flat(value: Any, name: str) -> list[tuple[str, Any]]:
    if isinstance(value, list):
        value = dict(enumerate(value))
    if not isinstance(value, dict):
        return [(name, value)]
    return [
        pair for key, inner in value.items() for pair in _flat(inner, f"{name}[{key}]" if name else str(key))
    ]


def listed(asked: Mapping[str, str], name: str) -> list[str]:
    """Identifiers as an array, or as a text with commas."""
    values = [value for key, value in asked.items() if key == name or key.startswith(f"{name}[")]
    return [part.strip() for value in values for part in value.split(",") if part.strip()]


def page(
    found: Sequence[T], asked: Mapping[str, str], shown: Callable[[T], dict[str, Any]]
) -> dict[str, Any]:
    """One page of a list, newest first.

    Raises:
        MobizonError: a page size that there is not.
    """
    size = _number(asked, "pagination[pageSize]", _PAGE_SIZES[0])
    number = _number(asked, "pagination[currentPage]", 0)
    if size not in _PAGE_SIZES:
        raise MobizonError(12, f"Incorrect pageSize: {size}; it is 25, 50 or 100")
    newest = list(reversed(found))
    items = [shown(one) for one in newest[number * size : (number + 1) * size]]
    return {"items": items, "totalItemCount": len(found)}


def _number(asked: Mapping[str, str], name: str, otherwise: int) -> int:
    text = asked.get(name, str(otherwise))
    if not text.isascii() or not text.isdigit():
        raise MobizonError(12, f"Incorrect {name}: {text}; expected a number")
    return int(text)


def unix(text: str) -> float:
    """A moment as Mobizon writes it; it names no zone, and the stand-in's is UTC.

    Raises:
        MobizonError: it is none.
    """
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise MobizonError(12, f"Incorrect date and time: {text}; expected YYYY-MM-DD HH:MM:SS") from None
