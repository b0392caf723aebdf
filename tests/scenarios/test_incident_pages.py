"""The pages about incidents tell what their code does: made again from pinned runs, they are what is committed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from scenarios.incidents import pages
from scenarios.incidents.catalogue import NAMES, incident
from scenarios.incidents.judging import Judgement, judge
from scenarios.incidents.pages import NotPinned, page, pinned_judgements, write_page
from scenarios.incidents.variants import Incident

DOCS = Path(__file__).parent.parent.parent / "docs" / "incidents"


@pytest.mark.parametrize("name", NAMES)
def test_the_page_is_what_the_pinned_runs_tell(name: str) -> None:
    """Code, argument or story changed? `turnstile incidents --write docs/incidents` makes the page again."""
    one = incident(name)

    made = page(one, pinned_judgements(one))

    assert made == (DOCS / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_every_incident_has_deployed_code_proposed_fixes_and_the_reference(name: str) -> None:
    """Deployed code is violated in each, and no variant of the reference is."""
    variants = incident(name).variants

    assert {variant.role for variant in variants} == {"deployed", "proposed", "reference"}
    assert any(variant.expected == "violated" for variant in variants if variant.role == "deployed")
    assert all(variant.expected == "holds" for variant in variants if variant.role == "reference")


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The pinned runs of #224, to be spoilt."""
    shutil.copytree(
        Path(pages.__file__).parent / "subscription_224" / "pinned", tmp_path / "subscription_224" / "pinned"
    )
    monkeypatch.setattr(pages, "_HERE", tmp_path)
    return tmp_path / "subscription_224" / "pinned"


def shorter(one: Incident) -> Incident:
    """Only the first two variants, for speed."""
    return replace(one, variants=one.variants[:2])


def judged(one: Incident) -> list[Judgement]:
    """All of its variants."""
    return [judge(one, variant) for variant in one.variants]


def test_what_was_written_is_read_back(copied: Path, tmp_path: Path) -> None:
    """Pages are made of what was pinned, so pinning and reading must agree."""
    one = shorter(incident("subscription_224"))

    path = write_page(one, judged(one), tmp_path / "docs")

    assert page(one, pinned_judgements(one)) == path.read_text(encoding="utf-8")
    assert sorted(file.name for file in copied.iterdir()) == sorted(
        ["verdicts.json", *(f"{variant.name}.schedule" for variant in one.variants)]
    )


def test_no_page_is_written_over_a_verdict_that_is_not_as_documented(copied: Path, tmp_path: Path) -> None:
    """A page that contradicts its own table helps nobody, and what was there stays."""
    one = shorter(incident("subscription_224"))
    wrong = [replace(judged(one)[0], invariant="another_claim"), *judged(one)[1:]]

    with pytest.raises(NotPinned, match="before_v2_4_10: no page is written"):
        write_page(one, wrong, tmp_path / "docs")

    assert len(list(copied.glob("*.schedule"))) > len(one.variants)
    assert not (tmp_path / "docs").exists()


def test_a_variant_without_a_pinned_run_is_named(copied: Path) -> None:
    """A new variant needs a run before there can be a page."""
    counts = json.loads((copied / "verdicts.json").read_text(encoding="utf-8"))
    counts.pop("v2_4_10")
    (copied / "verdicts.json").write_text(json.dumps(counts), encoding="utf-8")

    with pytest.raises(NotPinned, match=r"v2_4_10.*--write"):
        pinned_judgements(incident("subscription_224"))


def test_a_story_that_ends_otherwise_is_named(copied: Path) -> None:
    """The schedule of another variant is not this one's story."""
    (copied / "bottleneck_4_webhook_and_pending_sweep.schedule").write_bytes(
        (copied / "bottleneck_5_webhook_and_notice_sweep.schedule").read_bytes()
    )

    with pytest.raises(NotPinned, match=r"bottleneck_4.*another end"):
        pinned_judgements(incident("subscription_224"))
