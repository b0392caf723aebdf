"""Which steps depend on which: conflicts between effects, remembered, since the same pairs come up in every execution."""

from __future__ import annotations

from dataclasses import replace

from simulator.effects import Effects, conflict

Number = int
"""Stands for effects that were seen; equal effects have equal numbers."""


class Dependence:
    """Numbers effects and knows which conflict."""

    def __init__(self) -> None:
        self._numbers: dict[Effects, Number] = {}
        self._effects: list[Effects] = []
        self._known: dict[tuple[Number, Number], bool] = {}

    def number(self, effects: Effects) -> Number:
        """The number of effects."""
        number = self._numbers.get(effects)
        if number is None:
            number = self._numbers[effects] = len(self._effects)
            self._effects.append(effects)
        return number

    @property
    def count(self) -> int:
        """How many numbers there are; they are 0, 1, 2 ..."""
        return len(self._effects)

    def effects(self, number: Number) -> Effects:
        """What a number stands for."""
        return self._effects[number]

    def union(self, one: Number, other: Number) -> Number:
        """The number of what either did."""
        if one == other:
            return one
        return self.number(self._effects[one] | self._effects[other])

    def possible(self, number: Number) -> Number:
        """The number of all that such a step might do in another order."""
        effects = self._effects[number]
        return (
            number if effects.otherwise is None else self.number(replace(effects.possible(), otherwise=None))
        )

    def conflict(self, one: Number, other: Number) -> bool:
        """Whether the order of two such steps can matter."""
        key = (one, other) if one <= other else (other, one)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = conflict(self._effects[one], self._effects[other])
        return known
