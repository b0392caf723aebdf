"""``python -m scenarios.proofs``: every claim about the reference explored to its end; the exit status is 1 unless all hold."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from scenarios.proofs.proving import LAST_RUN, prove_all
from scenarios.proofs.registry import ALL, named
from scenarios.proofs.table import heading, line, page, save


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what the command line asks for; returns the exit status."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    if asked.processes < 1:
        parser.error(f"--processes must be at least 1; got {asked.processes}")
    if asked.seconds is not None and asked.seconds <= 0:
        parser.error(f"--seconds must be more than 0; got {asked.seconds}")
    if asked.write is not None and asked.names:
        parser.error("--write makes a page of all proofs: leave the names out")
    try:
        wanted = named(asked.names)
    except LookupError as error:
        parser.error(str(error))
    if asked.list:
        for proof in wanted:
            print(f"{proof.name:<36}  {proof.faults_max} crash at most, {len(proof.actors)} actors")
        return 0
    found = []
    if not asked.json:
        print(heading())
    for proof, proved in zip(
        wanted, prove_all(wanted, seconds=asked.seconds, processes=asked.processes), strict=True
    ):
        found.append(proved)
        if not asked.json:
            print(line(proof, proved), flush=True)
    holding = sum(proved.verdict == "holds" for proved in found)
    if asked.json:
        print(json.dumps([asdict(proved) for proved in found], indent=2))
    else:
        print(f"{holding} of {len(found)} hold")
    if asked.write is not None:
        save(found)
        (asked.write / "proofs.md").write_text(
            page(json.loads(LAST_RUN.read_text(encoding="utf-8"))), encoding="utf-8"
        )
    return 0 if holding == len(found) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scenarios.proofs",
        description="Runs the reference's flows in every interleaving, up to equivalence, on SQLite.",
        epilog=f"There are {len(ALL)}; --list names them.",
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="only these: a proof, or a flow (default: all)"
    )
    parser.add_argument("--list", action="store_true", help="say which there are, and run nothing")
    parser.add_argument(
        "--seconds", type=float, metavar="S", help="give a proof up after so long; it is inconclusive then"
    )
    parser.add_argument(
        "--processes", type=int, default=1, metavar="N", help="so many proofs at a time (default: 1)"
    )
    parser.add_argument("--json", action="store_true", help="print a list of results and nothing else")
    parser.add_argument("--write", metavar="FOLDER", type=Path, help="make the page proofs.md there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
