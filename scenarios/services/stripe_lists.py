"""Stripe's lists: newest first, a window of creation times, cursors, and never more than a hundred at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from scenarios.services.stripe_errors import invalid_parameter, no_such

_WITHIN: dict[str, Callable[[int, int], bool]] = {
    "gt": lambda created, bound: created > bound,
    "gte": lambda created, bound: created >= bound,
    "lt": lambda created, bound: created < bound,
    "lte": lambda created, bound: created <= bound,
}


def page(
    objects: Sequence[dict[str, Any]],
    parameters: dict[str, Any],
    *,
    url: str,
    kind: str,
    matches: Callable[[dict[str, Any]], bool] = lambda _one: True,
) -> dict[str, Any]:
    """One page.

    A cursor is a place among *all* objects: it stays good when its object no longer matches (a session that is paid
    between two pages of open ones).

    Args:
        objects: all of them, oldest first.
        parameters: ``created``, ``limit``, ``starting_after``, ``ending_before``.
        url: of the list.
        kind: what an error calls the objects.
        matches: the other filters.

    Raises:
        Refused: a limit out of bounds, a cursor that there is not, or two cursors.
    """
    limit = parameters.get("limit", 10)
    if not 1 <= limit <= 100:
        raise invalid_parameter("limit", f"Invalid limit: {limit}. It must be between 1 and 100.")
    after, before = parameters.get("starting_after"), parameters.get("ending_before")
    if after and before:
        raise invalid_parameter("ending_before", "You cannot use both `starting_after` and `ending_before`.")
    window = parameters.get("created", {})
    newest_first = list(reversed(objects))
    if after:
        newest_first = newest_first[_place(newest_first, after, "starting_after", kind) + 1 :]
    elif before:
        newest_first = newest_first[: _place(newest_first, before, "ending_before", kind)]
    found = [
        one
        for one in newest_first
        if matches(one) and all(_WITHIN[word](one["created"], bound) for word, bound in window.items())
    ]
    data = found[-limit:] if before else found[:limit]
    return {"object": "list", "data": data, "has_more": len(found) > len(data), "url": url}


def _place(objects: Sequence[dict[str, Any]], identifier: str, param: str, kind: str) -> int:
    for place, one in enumerate(objects):
        if one["id"] == identifier:
            return place
    raise no_such(kind, identifier, param, status=400)
