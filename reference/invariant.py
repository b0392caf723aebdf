"""One invariant as a value; the claims themselves are in `reference.invariants` and its siblings, one per flow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Invariant:
    """A named claim about committed data.

    Args:
        name: the claim as an identifier.
        claim: the claim as a sentence.
        sql: selects the violating rows; the column names are part of the report.
        when: "always", after every commit; or "eventually", once nothing is under way any more.
    """

    name: str
    claim: str
    sql: str
    when: Literal["always", "eventually"]
