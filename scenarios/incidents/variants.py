"""An incident as a value: the code as it was deployed, each fix that was proposed, and the reference, each with its verdict.

An incident's folder has ``incident.py`` with ``INCIDENT``; `scenarios.incidents.catalogue` lists them all. A variant's
``run`` is an ordinary ``@simulate(...)`` function of the world alone (bind what else it takes with `functools.partial`):
``finds=`` says that it is expected to be violated, and by which claim; without, it is expected to hold.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from simulator import Specification, specification_of

Role = Literal["deployed", "proposed", "reference"]
Verdict = Literal["violated", "holds"]

_NAME = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One version of the code in one situation, and what becomes of it.

    Args:
        name: unique in its incident, in words joined by underscores.
        role: ``deployed`` as it was, ``proposed`` as a fix, or the ``reference``.
        does: what this code does, in one sentence, and in which situation.
        why: the argument: why it does not hold, or what carries it.
        run: the simulation; see above.
        source: where it comes from: the document and its section.
    """

    name: str
    role: Role
    does: str
    why: str
    run: Callable[..., None]
    source: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"a variant's name is words joined by underscores; got {self.name!r}")
        specification_of(self.run)  # says what is no simulation

    @property
    def specification(self) -> Specification:
        """What is run."""
        return specification_of(self.run)

    @property
    def expected(self) -> Verdict:
        """The verdict that its simulation states."""
        return "holds" if self.specification.finds is None else "violated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """What happened, and everything that was, or could have been, done about it.

    Args:
        name: as the command knows it.
        title: in one line.
        when: the day, or days.
        happened: what was seen, in a few sentences.
        argument: why it happened and what design holds, in Markdown paragraphs.
        variants: deployed first, then proposed, then the reference.
    """

    name: str
    title: str
    when: str
    happened: str
    argument: str
    variants: tuple[Variant, ...]

    def __post_init__(self) -> None:
        twice = [name for name, count in Counter(one.name for one in self.variants).items() if count > 1]
        if twice:
            raise ValueError(f"{self.name} has two variants called {', '.join(twice)}")
        order = [_ROLES.index(one.role) for one in self.variants]
        if order != sorted(order):
            raise ValueError(
                f"{self.name}: its variants are deployed first, then proposed, then the reference"
            )

    def variant(self, name: str) -> Variant:
        """The variant of that name.

        Raises:
            LookupError: there is none.
        """
        for variant in self.variants:
            if variant.name == name:
                return variant
        known = ", ".join(one.name for one in self.variants)
        raise LookupError(f"{self.name} has no variant {name!r}; it has: {known}")


_ROLES: tuple[Role, ...] = ("deployed", "proposed", "reference")
