"""Where two executions of one schedule part, in words, and what most likely leaked.

What a leak is, its traces tell: a value that looks like an address came from ``repr()`` or ``id()``; one that counts on from
execution to execution from a counter that outlives them; the same things in another order from a set, or from rows that
nobody sorted. It is a likelihood, and says so; where the words fit nothing, the usual suspects are named.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from simulator.clock import RealTime
from simulator.trace import Access, Trace

_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}\b")
_UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE)
_DATE = re.compile(r"\b(\d{4})-(\d\d)-(\d\d)\b")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_WORD = re.compile(r"[\w.@-]+")

_SET = "the order of a set (or of anything that is hashed by its address)"
_EARLIER = "state of an earlier execution in a module, a cache or a counter"
_ANY = f"likely leaks: {_SET}, id() or repr() in a decision, {_EARLIER}"


def first_difference(one: Trace, other: Trace) -> str:
    """Where two executions of one schedule part, with the likely leak; empty when they are the same.

    What doors did is compared only where both are detailed.
    """
    if one.choices != other.choices:
        return _choices_differ(one, other)
    for index, (first, second) in enumerate(zip(one.steps, other.steps, strict=False)):
        if first != second:
            return (
                f"step {index + 1} was '{first[0]}: {first[1]}' at +{first[2]:.3f} s and then '{second[0]}: "
                f"{second[1]}' at +{second[2]:.3f} s; {_leak_of_step(one, other, index)}"
            )
        if one.detailed and other.detailed and (parted := _accesses_differ(one, other, index)):
            return f"step {index + 1} ({first[0]}: {first[1]}): {parted}"
    if len(one.steps) != len(other.steps):
        longer, steps = (one, other) if len(one.steps) > len(other.steps) else (other, one)
        lane, point, _ = longer.steps[len(steps.steps)]
        return (
            f"one execution has {len(one.steps)} steps, the other {len(other.steps)}: '{lane}: {point}' happened once "
            f"and not again; likely leak: {_EARLIER}"
        )
    return ""


def kept_from_the_first(first_of_all: Trace, second: Trace, third: Trace) -> str:
    """What three executions of one schedule tell more than two: whether only the first one is different."""
    if not first_difference(second, third) and first_difference(first_of_all, second):
        return " (the second and the third execution are alike: something is kept after the first)"
    return ""


def _choices_differ(one: Trace, other: Trace) -> str:
    names = [[name for name, _ in trace.choices] for trace in (one, other)]
    leak = _SET if sorted(names[0]) == sorted(names[1]) and names[0] != names[1] else _EARLIER
    return f"the scenario asked for other data: {one.choices} and then {other.choices}; likely leak: {leak}"


def _leak_of_step(one: Trace, other: Trace, index: int) -> str:
    first, second = one.steps[index], other.steps[index]
    if first[:2] == second[:2]:
        return "likely leak: a clock that is not the world's decides how long somebody waits"
    rest = [sorted(step[:2] for step in trace.steps[index:]) for trace in (one, other)]
    if rest[0] == rest[1]:
        return f"likely leak: {_SET}; the same steps follow in another order"
    leak = _leak_of_values(first[1], second[1]) if first[0] == second[0] else ""
    return f"likely leak: {leak}" if leak else _ANY


def _accesses_differ(one: Trace, other: Trace, index: int) -> str:
    ones, others = one.accesses.get(index, []), other.accesses.get(index, [])
    for first, second in zip(ones, others, strict=False):
        for what in ("sql", "parameters", "outcome", "changed"):
            was, now = getattr(first, what), getattr(second, what)
            if was != now:
                return f"its {what} was {was!r} and then {now!r}; likely leak: {_leak_of_access(what, first, second)}"
    if len(ones) != len(others):
        return f"it made {len(ones)} accesses and then {len(others)}; likely leak: {_EARLIER}"
    return ""


def _leak_of_access(what: str, first: Access, second: Access) -> str:
    was, now = getattr(first, what), getattr(second, what)
    texts = ["\n".join(value) if isinstance(value, tuple) else str(value) for value in (was, now)]
    if what in ("sql", "parameters"):
        return _leak_of_values(*texts) or "chance or a clock that is not the world's"
    if _same_in_another_order(*texts):
        return "rows that nobody sorted (a SELECT without ORDER BY)"
    return _leak_of_values(*texts) or "state that was not reset"


def _leak_of_values(was: str, now: str) -> str:
    """What the first differing part looks like; empty when it looks like nothing in particular."""
    for pattern, leak in (
        (_ADDRESS, "a memory address: repr() or id() of an object"),
        (_UUID, "a uuid whose bytes were not drawn through the world (os.urandom taken by value at import)"),
    ):
        if pattern.sub("", was) == pattern.sub("", now) and pattern.search(was):
            return leak
    if _DATE.search(was) and _is_today(was, now):
        return "the real clock, taken by value before the world replaced it"
    if _same_in_another_order(was, now):
        return _SET
    if _NUMBER.sub("#", was) == _NUMBER.sub("#", now):
        return _leak_of_numbers(_NUMBER.findall(was), _NUMBER.findall(now))
    return ""


def _leak_of_numbers(was: Sequence[str], now: Sequence[str]) -> str:
    """Of texts that differ in numbers only."""
    first, second = next((float(a), float(b)) for a, b in zip(was, now, strict=True) if a != b)
    if first.is_integer() and second.is_integer() and 0 < abs(second - first) <= _COUNTS_BY:
        return f"{_EARLIER}: it counts on from {first:.0f} to {second:.0f}"
    real_s = RealTime.perf_counter()
    if any(abs(second - now_s) < _RECENT_S for now_s in (real_s, 1000 * real_s)):
        return "the real clock, taken by value before the world replaced it"
    return "chance that was not drawn through the world, or the real clock"


_COUNTS_BY = 50  # as many as an execution draws from a counter
_RECENT_S = 3_600.0


def _same_in_another_order(was: str, now: str) -> bool:
    words = _WORD.findall(was), _WORD.findall(now)
    return words[0] != words[1] and sorted(words[0]) == sorted(words[1])


def _is_today(was: str, now: str) -> bool:
    """Whether a date in either text is today's: virtual time begins elsewhere."""
    today = datetime.fromtimestamp(RealTime.time(), UTC).strftime("%Y-%m-%d")
    return today in was or today in now
