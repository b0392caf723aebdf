"""Each guard bears load: without it its scenario finds the named claim violated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reference.storage.schema import metadata
from scenarios.ablations.__main__ import database_of
from scenarios.ablations.ablation import Ablation, run
from scenarios.ablations.registry import ALL, KEYS_WITHOUT_ABLATION
from scenarios.ablations.table import COUNTS, page
from scenarios.ablations.tables import keys
from simulator.database.server_binaries import PostgresUnavailable

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("ablation", ALL, ids=lambda ablation: ablation.name)
def test_the_absence_of_the_guard_is_noticed(ablation: Ablation) -> None:
    """By the claim that is named, within the default budget. That the scenario holds with the guard is its own test."""
    try:
        killed = run(ablation, database=database_of(ablation))
    except PostgresUnavailable as reason:
        pytest.skip(str(reason))

    assert killed.noticed, f"{ablation.guard}: by {killed.by or 'nothing'}: {killed.reason}"


def test_names_are_unique() -> None:
    """They are how the command, the page and the tests tell them apart."""
    names = [ablation.name for ablation in ALL]

    assert len(set(names)) == len(names)


def test_every_key_of_the_schema_is_ablated_or_has_its_reason() -> None:
    """A key that was added to the schema needs an ablation, or a word on why it decides nothing."""
    ablated = {key for ablation in ALL for key in ablation.keys}

    assert ablated | set(KEYS_WITHOUT_ABLATION) == set(keys(metadata))
    assert not ablated & set(KEYS_WITHOUT_ABLATION)


@pytest.mark.parametrize("ablation", ALL, ids=lambda ablation: ablation.name)
def test_the_guard_is_where_it_is_said_to_be(ablation: Ablation) -> None:
    """A guard that was moved or renamed needs another look at its ablation."""
    path, _, name = ablation.where.partition(":")

    assert name in (ROOT / path).read_text(encoding="utf-8")


def test_the_page_is_what_the_registry_says() -> None:
    """`python -m scenarios.ablations --write docs` makes it again."""
    counts = json.loads(COUNTS.read_text(encoding="utf-8"))

    assert sorted(counts) == sorted(ablation.name for ablation in ALL), (
        "the page was made from other ablations"
    )
    assert page(counts) == (ROOT / "docs" / "ablations.md").read_text(encoding="utf-8")
