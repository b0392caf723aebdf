"""A page of documentation for each incident, generated from its runs: table, stories, diagrams, the argument.

What a run found is pinned beside the incident's code (``pinned/``: the schedules of the shortest stories, and the counts).
A test replays the pinned schedules and makes the page again: when code, argument and page no longer agree, it fails.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from scenarios.incidents.judging import Judgement, judgement_of
from scenarios.incidents.variants import Incident, Variant
from simulator import SimulatorError, load_schedule, replay
from simulator.database.sqlite import SqliteDatabase
from simulator.report.story import mermaid

_HERE = Path(__file__).parent
_COUNTS = "verdicts.json"
_KEPT = ("verdict", "how", "invariant", "executions", "reason")


class NotPinned(SimulatorError):
    """An incident has a variant whose run is not pinned, or not any more."""


def write_page(incident: Incident, judged: Sequence[Judgement], folder: Path) -> Path:
    """Writes the page of an incident and pins the runs that it tells of; returns the page's path.

    Raises:
        NotPinned: a variant was not judged, or not as it says of itself: such a page would be wrong.
    """
    known = {row.variant: row for row in judged}
    for variant in incident.variants:
        row = known.get(variant.name)
        if row is None or not row.as_expected:
            raise NotPinned(
                f"{incident.name}, {variant.name}: no page is written while its verdict is not as documented"
            )
    pinned = _HERE / incident.name / "pinned"
    pinned.mkdir(exist_ok=True)
    for stale in sorted(pinned.glob("*.schedule")):
        stale.unlink()
    for row in judged:
        if row.schedule is not None:
            row.schedule.save(pinned / f"{row.variant}.schedule")
    counts = {row.variant: {key: getattr(row, key) for key in _KEPT} for row in judged}
    (pinned / _COUNTS).write_text(json.dumps(counts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{incident.name}.md"
    path.write_text(page(incident, judged), encoding="utf-8")
    return path


def pinned_judgements(incident: Incident) -> list[Judgement]:
    """The judgements that the page tells of, each story replayed.

    Raises:
        NotPinned: a variant has no pinned run, or its story drifted or came to another end.
    """
    folder = _HERE / incident.name / "pinned"
    try:
        counts = json.loads((folder / _COUNTS).read_text(encoding="utf-8"))
    except OSError as error:
        raise NotPinned(f"{incident.name} has no pinned runs: {_REMEDY}") from error
    names = [variant.name for variant in incident.variants]
    if list(counts) != names:
        raise NotPinned(f"{incident.name} has pinned runs of {list(counts)}, and variants {names}: {_REMEDY}")
    return [_pinned(incident, variant, counts[variant.name], folder) for variant in incident.variants]


_REMEDY = "run `turnstile incidents --write docs/incidents`"


def _pinned(incident: Incident, variant: Variant, counts: dict[str, Any], folder: Path) -> Judgement:
    if counts["verdict"] != variant.expected:
        raise NotPinned(
            f"{incident.name}, {variant.name}: pinned as {counts['verdict']}, and the variant says "
            f"{variant.expected}: {_REMEDY}"
        )
    if variant.expected == "holds":
        return Judgement(
            incident=incident.name,
            variant=variant.name,
            role=variant.role,
            seconds=0.0,
            told=None,
            schedule=None,
            expected=variant.expected,
            **counts,
        )
    wanted = variant.specification
    assert wanted.schema is not None
    result, drift = replay(
        wanted.scenario,
        load_schedule(folder / f"{variant.name}.schedule"),
        claims=wanted.claims,
        database=SqliteDatabase(wanted.schema),
        bounds=wanted.bounds,
    )
    if drift or result.failure is None or result.failure.name != counts["invariant"]:
        came = result.failure.name if result.failure else "nothing violated"
        raise NotPinned(
            f"{incident.name}, {variant.name}: the pinned story comes to another end ({came}; {drift}): {_REMEDY}"
        )
    return replace(
        judgement_of(incident, variant, result), how=counts["how"], executions=counts["executions"]
    )


def page(incident: Incident, judged: Sequence[Judgement]) -> str:
    """The page's text, in Markdown."""
    return "\n".join(_lines(incident, {row.variant: row for row in judged})) + "\n"


def _lines(incident: Incident, judged: dict[str, Judgement]) -> Iterator[str]:
    yield f"# {incident.title}"
    yield ""
    yield f"{incident.when}. This page is generated from runs: `turnstile incidents {incident.name}` makes them again. Its"
    yield f"words are in `scenarios/incidents/{incident.name}/incident.py`."
    yield ""
    yield f"{incident.happened}"
    yield ""
    yield "## Verdicts"
    yield ""
    yield "| | variant | verdict | claim | shown by |"
    yield "| --- | --- | --- | --- | --- |"
    for variant in incident.variants:
        row = judged[variant.name]
        yield f"| {variant.role} | [{variant.name}](#{variant.name}) | **{row.verdict}** | {_claims(row)} | {_shown(row)} |"
    yield ""
    yield "## Why, and what holds"
    yield ""
    yield incident.argument
    yield ""
    yield "## Stories"
    for variant in incident.variants:
        yield from _section(variant, judged[variant.name])


def _section(variant: Variant, row: Judgement) -> Iterator[str]:
    yield ""
    yield f"### {variant.name}"
    yield ""
    source = f" ({variant.source})" if variant.source else ""
    yield f"{variant.role.capitalize()}{source}. {variant.does}"
    yield ""
    yield f"**{row.verdict.capitalize()}.** {variant.why}"
    if row.told is None:
        return
    yield ""
    yield "```text"
    yield f"{row.invariant}: {row.reason}"
    yield from (f"  {line}" for line in row.told.lines())
    yield "```"
    if row.told.conflict:
        yield ""
        yield f"Conflict: {row.told.conflict}."
    yield ""
    yield f"<details><summary>The same as a diagram; replay: <code>{_command(variant, row)}</code></summary>"
    yield ""
    yield "```mermaid"
    yield mermaid(row.told, f"{row.invariant}")
    yield "```"
    yield ""
    yield "</details>"


def _command(variant: Variant, row: Judgement) -> str:
    return f"pytest --schedule=scenarios/incidents/{row.incident}/pinned/{variant.name}.schedule"


def _claims(row: Judgement) -> str:
    names = row.invariant.split(", ")
    shown = ", ".join(f"`{name}`" for name in names[:3])
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _shown(row: Judgement) -> str:
    if row.verdict == "violated":
        return f"execution {row.executions:,}"
    return f"{row.executions:,} executions, {row.how}"
