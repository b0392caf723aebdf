"""The table of ablations: for a terminal, and as the page docs/ablations.md."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from scenarios.ablations.ablation import Ablation, Killed
from scenarios.ablations.registry import BY_FLOW, KEYS_WITHOUT_ABLATION

COUNTS = Path(__file__).with_name("killed.json")
"""What the last complete run found; the page is made from it."""


def line(killed: Killed) -> str:
    """One row for a terminal."""
    verdict = "killed" if killed.noticed else "SURVIVES"
    by = killed.by or "nothing"
    where = f"execution {killed.executions}" if killed.by else f"{killed.executions} executions"
    text = f"{verdict:<8}  {killed.ablation.name:<44}  by {by:<44}  {where}, {killed.seconds:.1f} s"
    return text if killed.noticed else f"{text}\n          expected: {killed.ablation.claim}; {killed.reason}"


def save(found: Sequence[Killed]) -> None:
    """Keeps what the page needs."""
    counts = {killed.ablation.name: killed.executions for killed in found}
    COUNTS.write_text(json.dumps(counts, indent=2) + "\n", encoding="utf-8")


def page(counts: Mapping[str, Any]) -> str:
    """docs/ablations.md.

    Args:
        counts: executions to kill, by the ablation's name.
    """
    return "\n".join(_lines(counts)) + "\n"


def _lines(counts: Mapping[str, Any]) -> Iterator[str]:
    total = sum(len(group) for group in BY_FLOW.values())
    yield "# Ablations"
    yield ""
    yield f"Each of the reference's {total} guards below was taken away from outside, alone or together with what stands behind it, and a"
    yield "scenario noticed, by the claim that is named. `tox -e ablations` runs them all; `python -m scenarios.ablations --write docs`"
    yield "makes this page again. A guard that stands *in a second line* is masked by another one as long as that stands; the row says which."
    for flow, group in BY_FLOW.items():
        yield ""
        yield f"## {flow}"
        yield ""
        yield "| guard | where | noticed by | executions |"
        yield "| --- | --- | --- | --- |"
        for ablation in group:
            yield _row(ablation, counts[ablation.name])
    yield ""
    yield "## Keys that decide nothing between two writers"
    yield ""
    for name, reason in sorted(KEYS_WITHOUT_ABLATION.items()):
        yield f"- `{name}`: {reason}"


def _row(ablation: Ablation, executions: int) -> str:
    path, _, name = ablation.where.partition(":")
    second = "" if ablation.alone else " *In a second line.*"
    engine = "" if ablation.engine == "sqlite" else f" On {ablation.engine}."
    claim = f"`{ablation.claim}`" + (f": {ablation.raises}" if ablation.raises else "")
    guard = ablation.guard[0].upper() + ablation.guard[1:]
    return f"| {guard}.{second}{engine} | [`{name}`](../{path}) | {claim} | {executions} |"
