"""The lines at the end of a run: one for each simulation that has news, one for all that hold, one to replay them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from simulator.report.text import counted, printable

if TYPE_CHECKING:
    from simulator.exploration import Exploration

_NAME_MAX = 46  # with "found" and the size of a short story a line has 78 columns
_PARAMETERS_MAX = 34  # they tell tests of one function apart; its first words are enough for the rest
_HOLDS = "holds"
_DETAILED_MAX = 3  # what one asks about a few simulations one wants to read; a night has a hundred


@dataclass(frozen=True, slots=True)
class Line:
    """What a simulation has to say at the end of a run; plain data, because it comes from another process.

    Attributes:
        verdict: ``holds``, ``found``, ``violated``, ``missed``, ``vacuous`` or ``inconclusive``.
        name: of the simulation, and of its schedule's file.
        text: how short the story is; of what held or was not found, how much was done.
        executions: how many, when it holds.
        scope: what they cover.
        saved: whether there is a schedule.
        pairs: of conflicting points, how many were seen; 0 where nobody asked.
        both: how many of those in both orders.
        seen: that, and what is still new, in words; empty where nobody asked.
        details: of a sample that holds, what else there is to say about it.
    """

    verdict: str
    name: str
    text: str
    executions: int = 0
    scope: str = ""
    saved: bool = False
    pairs: int = 0
    both: int = 0
    seen: str = ""
    details: tuple[str, ...] = ()

    def as_text(self) -> str:
        """The form in which it travels."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Line:
        """The other way round."""
        values = json.loads(text)
        return cls(**{**values, "details": tuple(values["details"])})


def line_of(verdict: str, name: str, result: Exploration) -> Line:
    """What became of one exploration.

    Args:
        verdict: see ``Line``.
        name: of the simulation.
        result: the exploration.
    """
    seen: dict[str, Any] = {}
    if (coverage := result.coverage) is not None:
        sizes = coverage.seen
        seen = {"pairs": sizes.pairs, "both": sizes.both, "seen": printable(coverage.words())}
    if result.failure is not None and result.outcome is not None:
        outcome = result.outcome
        lengths = [
            (len(outcome.trace.steps), "step"),
            (outcome.preemptions, "switch"),
            (outcome.faults, "fault"),
        ]
        text = ", ".join(counted(count, what) for count, what in lengths if count)
        return Line(verdict, name, text, saved=True, **seen)
    text = printable(f"{result.claim}, {result.seconds:.1f} s")
    scope = result.scope or result.claim
    details = () if result.exhaustive else tuple(map(printable, result.details))
    return Line(verdict, name, text, executions=result.executions, scope=scope, details=details, **seen)


def summary_lines(lines: Sequence[Line], *, width: int, verbose: bool, folder: str) -> list[str]:
    """The lines at the end of a run.

    Args:
        lines: of all simulations, in the order in which they ran.
        width: of the terminal; a line that is longer is broken once, after the name.
        verbose: whether each simulation that holds has a line of its own.
        folder: where schedules are saved, as one types it.
    """
    shown = [line for line in lines if verbose or line.verdict != _HOLDS]
    columns = [(len(line.verdict), len(line.name)) for line in shown] or [(0, 0)]
    widths = max(verdict for verdict, _ in columns), max(name for _, name in columns)
    told = [text for line in shown for text in _broken(line, widths, width)]
    if not verbose:
        told += _held([line for line in lines if line.verdict == _HOLDS])
    held = [line for line in lines if line.verdict == _HOLDS and line.details]
    for line in held if verbose else held[:_DETAILED_MAX]:
        told += (f"{line.name}: {text}" for text in line.details)
    if not verbose and len(held) > _DETAILED_MAX:
        told.append(f"and {len(held) - _DETAILED_MAX} more with -v")
    told += _seen([line for line in lines if line.seen], verbose=verbose, folder=folder)
    if any(line.saved for line in lines):
        told.append(f"replay one: pytest --schedule={folder}/NAME.schedule")
    return told


def _broken(line: Line, widths: tuple[int, int], width: int) -> Iterator[str]:
    verdict = f"{line.verdict:<{widths[0]}}"
    for name in (f"{line.name:<{widths[1]}}", line.name):
        if len(whole := f"{verdict}  {name}  {line.text}") <= width:
            yield whole
            return
    yield f"{verdict}  {line.name}"
    yield f"{'':<{widths[0]}}  {line.text}"


def _held(lines: Sequence[Line]) -> Iterator[str]:
    """What holds, together for each kind of claim: a sample and a completed bound are not to be added up."""
    for scope in dict.fromkeys(line.scope for line in lines):
        same = [line for line in lines if line.scope == scope]
        executions = sum(line.executions for line in same)
        verb = "holds" if len(same) == 1 else "hold"
        yield f"{len(same)} {verb}: {executions:,} execution{'' if executions == 1 else 's'}, {scope}"


def _seen(lines: Sequence[Line], *, verbose: bool, folder: str) -> Iterator[str]:
    """What was seen of the interleavings, where somebody asked: each simulation's own, and all of them together."""
    if verbose:
        yield from (f"{line.name}: {line.seen}" for line in lines)
    if lines:
        both, pairs = sum(line.both for line in lines), sum(line.pairs for line in lines)
        yield (
            f"interleavings: {both:,} of {counted(pairs, 'conflicting pair')} seen in both orders; the others are in "
            f"{folder}/NAME.interleavings.json"
        )


def short_name(test: str) -> str:
    """A short name for a test, and for its schedule's file: readable, and another one for every test.

    ``tests/test_a.py::test_pays_once[p-1]`` is ``pays_once-p-1-`` and four digits that tell it from namesakes.

    Args:
        test: its node id.
    """
    path, _, rest = test.partition("::")
    function, _, parameters = (rest or path.rpartition("/")[2]).partition("[")
    words = re.sub(r"[^A-Za-z0-9_.]+", "-", function.rpartition("::")[2].removeprefix("test_")).strip("-.")
    given = re.sub(r"[^A-Za-z0-9_.]+", "-", parameters.removesuffix("]")).strip("-.")
    if len(words) + len(given) + 1 > _NAME_MAX:
        given = _without_its_middle(given, _PARAMETERS_MAX)
    words = _cut(words, _NAME_MAX - len(given) - 1)
    digits = hashlib.sha256(test.encode()).hexdigest()[:4]
    return "-".join(part for part in (words, given, digits) if part)


def _cut(words: str, width: int) -> str:
    """As many whole words as fit."""
    if len(words) <= width:
        return words
    cut = words[: width + 1]
    whole = cut[: max(cut.rfind("_"), cut.rfind("-"))] if re.search(r".[_-]", cut) else words[:width]
    return whole.strip("_-.")


def _without_its_middle(words: str, width: int) -> str:
    """As much as fits of whole words from both ends: ids of parameters begin alike, or end alike."""
    if len(words) <= width:
        return words
    cuts = [match.start() for match in re.finditer("[_-]", words)]
    shorter = [f"{words[:head]}..{words[tail + 1 :]}" for head in cuts for tail in cuts if head <= tail]
    return max((text for text in shorter if len(text) <= width), key=len, default=words[:width])
