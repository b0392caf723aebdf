"""What one tool says of one program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["violated", "holds", "inconclusive", "cannot run it", "no answer in time"]


@dataclass(frozen=True, slots=True)
class Result:
    """One cell of the table.

    Attributes:
        said: the verdict; ``inconclusive`` is what an honest sampler says when it finds nothing.
        executions: how many there were.
        seconds: real time, without imports.
        note: what limits the verdict, in a few words.
    """

    said: Verdict
    executions: int
    seconds: float
    note: str = ""
