"""The verdict table as text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from scenarios.incidents.judging import Judgement
from scenarios.incidents.variants import Incident

_WIDTH = 118


def table(chosen: Sequence[Incident], judged: Sequence[Judgement], *, stories: bool) -> Iterator[str]:
    """The lines of the table.

    Args:
        chosen: the incidents, in order.
        judged: what became of their variants.
        stories: whether each violation's whole story is told, or only how it ended.
    """
    for one in chosen:
        rows = [judgement for judgement in judged if judgement.incident == one.name]
        if not rows:
            continue
        yield f"{one.name}: {one.title} ({one.when})"
        widest = max(len(row.variant) for row in rows)
        for row in rows:
            yield _row(row, widest)
            yield from _below(row, stories=stories)
        yield ""
    wrong = [judgement for judgement in judged if not judgement.as_expected]
    violated = sum(judgement.verdict == "violated" for judgement in judged)
    yield f"{violated} violated, {len(judged) - violated} hold, in {sum(each.seconds for each in judged):.0f} s"
    if not wrong:
        yield "every verdict is as documented"
    for judgement in wrong:
        expected = f"{judgement.expected} ({judgement.finds})" if judgement.finds else judgement.expected
        found = f"{judgement.verdict} ({judgement.invariant})" if judgement.verdict == "violated" else "holds"
        what = judgement.vacuous or f"expected: {expected}, found: {found}"
        yield f"NOT AS DOCUMENTED: {judgement.incident}, {judgement.variant}: {what}"


def _row(row: Judgement, widest: int) -> str:
    shown = (
        f"in execution {row.executions:,}"
        if row.verdict == "violated"
        else f"{row.executions:,} executions, {row.how}"
    )
    return f"  {row.role:<9}  {row.variant:<{widest}}  {row.verdict:<8}  {shown}, {row.seconds:.1f} s"


def _below(row: Judgement, *, stories: bool) -> Iterator[str]:
    if row.verdict == "holds":
        return
    yield from _wrapped(f"{row.invariant}: {row.reason}")
    if stories and row.told is not None:
        for line in row.told.lines():
            yield from _wrapped(line, indent=" " * 15)
        if row.told.conflict:
            yield from _wrapped(f"conflict: {row.told.conflict}")


def _wrapped(text: str, indent: str = " " * 13) -> Iterator[str]:
    yield from textwrap.wrap(
        text, _WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ", break_on_hyphens=False
    )
