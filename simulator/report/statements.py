"""Says in a few words what a statement was; the full SQL stands in the code, at the line that the report names.

It reads SQL for show only. Where a text is not as simple as it looks, less is shown: a condition with a wrong value
filled in would send the reader after the wrong row.
"""

from __future__ import annotations

import ast
import re
from typing import Any

from simulator.report.text import clip, printable
from simulator.trace import Access

_COMMENT = re.compile(r"\A(?:\s+|--[^\n]*\n|/\*.*?\*/)+", re.DOTALL)
_WHERE = re.compile(r"\bWHERE\s+", re.IGNORECASE)
_TAIL = re.compile(r"\s(?:ORDER BY|LIMIT|RETURNING|GROUP BY|FOR UPDATE)\b.*\Z", re.IGNORECASE)
_PLACE = re.compile(r"\?\d*|%s|%\((?P<one>\w+)\)s(?:::\w+)?|\$\d+|(?<!:):(?P<two>\w+)")
_QUOTED = re.compile(r"'(?:[^']|'')*'")
_CONDITION_WIDTH_MIN = len(" WHERE id = ...")  # less of a condition is not worth the place
_NOTHING = ("", "()", "[]", "{}", "None")
_RESUMED = " after waiting"


def label(access: Access, point: str = "") -> str:
    """Verb and tables, such as ``UPDATE payments``.

    Args:
        access: what the door recorded.
        point: the step's name; the point's own words are taken where it has some.
    """
    point = point.removesuffix(_RESUMED)
    if point and point != "goes on":
        return point
    words = _COMMENT.sub("", access.sql).split()
    tables = access.writes or access.reads
    return " ".join([words[0].upper() if words else "statement", ", ".join(tables)]).strip()


def statement(access: Access, point: str, width: int) -> str:
    """A statement in one line: as much of it as there is room for.

    Args:
        access: what the door recorded.
        point: the step's name.
        width: what there is room for.
    """
    name = printable(label(access, point)) + (" (waited)" if point.endswith(_RESUMED) else "")
    condition = _condition(access)
    if condition:
        text = f"{name} WHERE {condition}"
        return clip(text, width) if len(name) + _CONDITION_WIDTH_MIN <= width else clip(name, width)
    sent = f"{name} {printable(access.parameters)}"
    says_more = (
        access.parameters not in _NOTHING and not access.changed
    )  # what changed says more than what was sent
    return sent if says_more and len(sent) <= width else clip(name, width)


def _condition(access: Access) -> str:
    """The condition with its values filled in; nothing where that is not plain to see."""
    sql = printable(_COMMENT.sub("", access.sql))
    where = list(_WHERE.finditer(sql))
    if len(where) != 1 or any(_PLACE.search(text) for text in _QUOTED.findall(sql)):
        return ""
    before, text = sql[: where[0].start()], _TAIL.sub("", sql[where[0].end() :])
    tables = {*access.reads, *access.writes}
    if len(tables) == 1 and "'" not in text:
        text = re.sub(rf'"?\b{re.escape(tables.pop())}"?\.', "", text)
    places = list(_PLACE.finditer(text))
    if not places:
        return text
    filling = _filling(access.parameters, [place["one"] or place["two"] for place in places])
    if isinstance(filling, list):
        if len(filling) != len(_PLACE.findall(sql)):
            return ""
        first = len(_PLACE.findall(before))
        filling = iter(filling[first : first + len(places)])
    return _PLACE.sub(lambda _: printable(repr(next(filling))), text) if filling is not None else ""


def _filling(parameters: str, names: list[str | None]) -> Any:
    """A list of all values in the order of their places, or an iterator over those that are named."""
    try:
        values = ast.literal_eval(parameters)  # reads literals only; it cannot execute anything
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    if isinstance(values, dict):
        return iter([values[name] for name in names]) if all(name in values for name in names) else None
    return list(values) if isinstance(values, (list, tuple)) else None
