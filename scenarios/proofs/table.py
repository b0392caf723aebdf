"""The table of proofs: for a terminal, and as the page docs/proofs.md."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from scenarios.proofs.flow import Proof
from scenarios.proofs.proving import LAST_RUN, Proved
from scenarios.proofs.registry import FLOWS
from simulator.oracles import name_of


def heading() -> str:
    """Over the rows of a terminal."""
    return f"{'claim':<36}  {'crashes':>7}  {'N':>7}  {'verdict':<12}  {'seconds':>7}"


def line(proof: Proof, proved: Proved) -> str:
    """One row for a terminal."""
    row = (
        f"{proved.name:<36}  {proof.faults_max:>7}  {proved.interleavings:>7,}  {proved.verdict:<12}  "
        f"{proved.seconds:>7.1f}"
    )
    return f"{row}\n    {proved.why}" if proved.why else row


def save(found: Sequence[Proved]) -> None:
    """Keeps what the page needs."""
    rows = {
        proved.name: {
            "verdict": proved.verdict,
            "interleavings": proved.interleavings,
            "seconds": round(proved.seconds, 1),
            "why": proved.why,
        }
        for proved in found
    }
    LAST_RUN.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def page(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """docs/proofs.md.

    Args:
        rows: by the proof's name, as `save` keeps them.
    """
    return "\n".join(_lines(rows)) + "\n"


def _lines(rows: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    holding = sum(row["verdict"] == "holds" for row in rows.values())
    seconds = sum(row["seconds"] for row in rows.values() if row["verdict"] == "holds")
    yield "# Every interleaving"
    yield ""
    yield f"The last complete run looked at {len(rows)} claims about the reference: {holding} hold in all interleavings up to equivalence, which"
    yield f"took {seconds / 60:.0f} minutes of one core. `tox -e proofs` runs them; `python -m scenarios.proofs --write docs` makes this page again."
    yield ""
    yield "The bounds, for all of them: SQLite; each path is a process of its own; a pair may lose one process to SIGKILL before any step,"
    yield "three paths lose none; no timer fires while anybody can move; an hour later one worker does what is left. N counts interleavings"
    yield "up to equivalence, all moments of the crash together; deaths that come to the same, because nothing of the step between them outlives"
    yield "the process, are one moment. Nothing is said beyond these bounds. The claims are not vacuous: without the guard that is named the"
    yield "same search finds the claim that is named violated (`scenarios/proofs/test_proofs.py`)."
    for flow in FLOWS:
        yield ""
        yield f"## {flow.name}"
        yield ""
        yield f"{flow.what[0].upper()}{flow.what[1:]}. Without `{flow.guard}`: `{flow.caught_by}`."
        yield ""
        yield "| who | crashes at most | N | verdict | seconds |"
        yield "| --- | --- | --- | --- | --- |"
        for proof in flow.proofs():
            row = rows[proof.name]
            verdict = row["verdict"] + (f": {row['why']}" if row["why"] else "")
            who = ", ".join(proof.actors)
            yield f"| {who} | {proof.faults_max} | {row['interleavings']:,} | {verdict} | {row['seconds']} |"
        yield ""
        names = [name_of(claim) for claim in (*flow.always, *flow.eventually)]
        yield f"What must hold: {', '.join(f'`{name}`' for name in names)}."
