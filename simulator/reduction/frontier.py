"""Where an exhaustive search stands, as text: what is left to explore, so that another run goes on from there.

It is data: reading it executes nothing. Lanes are named, effects are written out, and the states on the stack are the way
to the next execution; what no longer fits the code under test is noticed when that way is followed again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from simulator.effects import Effects, Look, Resource, Row
from simulator.errors import FrontierError
from simulator.reduction.dependence import Dependence, Number
from simulator.reduction.following import Node
from simulator.reduction.wakeup import Branch

FORMAT = "turnstile frontier 3"
_FLAGS = ("took", "gave_back", "would_wait", "attempts", "everything", "unsure")
_RESOURCES = ("reads", "writes", "bumps")


def write_frontier(
    stack: Sequence[Node], then: Sequence[Branch], rest: Mapping[str, Any], effects: Dependence
) -> str:
    """The saved form.

    Args:
        stack: the states on the way to the next execution.
        then: how that one goes on.
        rest: what else is to be kept: numbers, strings, and lists and mappings of them.
        effects: gives the effects that a number stands for.
    """
    used: dict[Number, int] = {}

    def number(of: Number) -> int:
        return used.setdefault(of, len(used))

    def tree(branches: Sequence[Branch]) -> list[Any]:
        return [[branch.lane, number(branch.number), tree(branch.then)] for branch in branches]

    nodes = [
        {
            "ready": node.ready,
            "able": node.able,
            "lane": node.lane,
            "always": None if node.always is None else number(node.always),
            "sleep": {lane: number(each) for lane, each in node.sleep.items()},
            "done": {lane: number(each) for lane, each in node.done.items()},
            "pending": tree(node.pending),
        }
        for node in stack
    ]
    saved = {"format": FORMAT, "stack": nodes, "then": tree(then), "rest": rest}
    saved["effects"] = [_effects_as_data(effects.effects(each)) for each in used]
    return json.dumps(saved, indent=1)


def read_frontier(text: str, effects: Dependence) -> tuple[list[Node], list[Branch], dict[str, Any]]:
    """What `write_frontier` was given, with effects numbered anew.

    Raises:
        FrontierError: it is no frontier of this version, or was cut short.
    """
    try:
        saved = json.loads(text)
        if saved["format"] != FORMAT:
            raise FrontierError(f"expected a frontier of the format {FORMAT!r}, found {saved['format']!r}")
        numbers = [effects.number(_effects_from_data(each)) for each in saved["effects"]]

        def tree(branches: Sequence[Any]) -> list[Branch]:
            return [Branch(lane, numbers[number], tree(then)) for lane, number, then in branches]

        stack = [
            Node(
                tuple(node["ready"]),
                tuple(node["able"]),
                node["lane"],
                0,
                None if node["always"] is None else numbers[node["always"]],
                {lane: numbers[number] for lane, number in node["sleep"].items()},
                {lane: numbers[number] for lane, number in node["done"].items()},
                tree(node["pending"]),
            )
            for node in saved["stack"]
        ]
        return stack, tree(saved["then"]), saved["rest"]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise FrontierError(
            f"this is no frontier that an exhaustive search saved, or only a part of one: {error}"
        ) from None


def _effects_as_data(effects: Effects) -> dict[str, Any]:
    data: dict[str, Any] = {
        name: sorted(getattr(effects, name)) for name in _RESOURCES if getattr(effects, name)
    }
    data |= {name: getattr(effects, name) for name in _FLAGS if getattr(effects, name)}
    if effects.looks:
        data["looks"] = sorted([look.table, look.where] for look in effects.looks)
    if effects.rows:
        images = [[row.table, row.image] for row in effects.rows]
        data["rows"] = sorted(images, key=lambda row: (row[0], row[1] is None, row[1] or ()))
    if effects.otherwise is not None:
        data["otherwise"] = _effects_as_data(effects.otherwise)
    return data


def _effects_from_data(data: dict[str, Any]) -> Effects:
    named: dict[str, frozenset[Resource]] = {
        name: frozenset(map(tuple, data.get(name, ()))) for name in _RESOURCES
    }
    otherwise = data.get("otherwise")
    return Effects(
        **named,
        looks=frozenset(Look(table, _pairs(where)) for table, where in data.get("looks", ())),
        rows=frozenset(
            Row(table, None if image is None else _pairs(image)) for table, image in data.get("rows", ())
        ),
        took=bool(data.get("took")),
        gave_back=bool(data.get("gave_back")),
        would_wait=bool(data.get("would_wait")),
        attempts=bool(data.get("attempts")),
        everything=bool(data.get("everything")),
        unsure=int(data.get("unsure", 0)),
        otherwise=None if otherwise is None else _effects_from_data(otherwise),
    )


def _pairs(values: Sequence[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((column, value) for column, value in values)
