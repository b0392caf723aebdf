"""docs/checklist.md: every row of the incidents' documents is accounted for, and every link leads somewhere."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "checklist.md"
ROWS_OF = {"000": 23, "001": 31, "002": 42, "003": 45, "004": 45}
VERDICTS = {"built", "reproduced", "built, reproduced", "refuted"}
BUILT = ("../reference/", "../simulator/", "../pyproject.toml")
REPRODUCED = ("incidents/", "../scenarios/", "../simulator/")
_ROW = re.compile(r"\| (\d{3}-\d{2}) \| (.+) \| ([a-z, ]+) \| (.+) \| (.*) \| (.*) \|")
_LINK = re.compile(r"\[([^\]]+)\]\(([^)]+)\)")


def rows() -> dict[str, tuple[str, str, str]]:
    """Verdict, where and shown by, for each row."""
    found = [_ROW.fullmatch(line) for line in PAGE.read_text(encoding="utf-8").splitlines()]
    return {row[1]: (row[3], row[5], row[6]) for row in found if row}


def test_no_row_is_missing_and_none_is_there_twice() -> None:
    """186 rows: as many as the documents have things in them."""
    lines = [
        line for line in PAGE.read_text(encoding="utf-8").splitlines() if re.match(r"\| \d{3}-\d{2} ", line)
    ]
    expected = [
        f"{document}-{number:02}" for document, count in ROWS_OF.items() for number in range(1, count + 1)
    ]

    assert [line[2:8] for line in lines] == expected
    assert list(rows()) == expected, "a row does not have the form of a row"


def test_each_row_has_a_verdict_a_place_and_a_proof() -> None:
    """What is said to be built is in the reference, what is said to be reproduced in the scenarios, and something shows it."""
    for name, (verdict, where, shown) in rows().items():
        assert verdict in VERDICTS, name
        places = [target for _, target in _LINK.findall(where)]
        assert places, f"{name} is nowhere"
        assert _LINK.findall(shown), f"nothing shows {name}"
        everything = places + [target for _, target in _LINK.findall(shown)]
        if "built" in verdict:
            assert any(not target.startswith("incidents/") for target in everything), name
        if "reproduced" in verdict or verdict == "refuted":
            assert any(_is_about_incidents(target) for target in everything), (
                f"{name} is not reproduced anywhere"
            )


def _is_about_incidents(target: str) -> bool:
    return any(word in target for word in ("incidents/", "scenarios/", "simulator/", "tests/", "http.md"))


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.name)
def test_no_link_of_the_documents_is_dead(page: Path) -> None:
    """A file is there; a symbol is in its file; a heading is in its page."""
    dead = [
        f"{text} -> {target}" for text, target in _LINK.findall(_prose(page)) if _is_dead(page, text, target)
    ]

    assert not dead, "\n".join(dead)


def test_a_dead_link_would_be_seen() -> None:
    """The check itself: a file, a symbol, a heading that are not there."""
    assert _is_dead(PAGE, "nothing", "nowhere.md")
    assert _is_dead(PAGE, "`no_such_name`", "../reference/policies.py")
    assert _is_dead(PAGE, "why", "flows/purchase.md#no-such-heading")
    assert not _is_dead(PAGE, "`fold`", "../reference/policies.py")
    assert not _is_dead(PAGE, "why", "flows/purchase.md#why-it-holds")


def _prose(page: Path) -> str:
    """Without blocks of code, where brackets are not links."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def _is_dead(page: Path, text: str, target: str) -> bool:
    if target.startswith(("http://", "https://")):
        return False
    path, _, anchor = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    if not file.exists():
        return True
    if anchor:
        return anchor not in _anchors(file)
    if file.suffix == ".py" and text.startswith("`"):
        name = text.strip("`").rpartition(".")[2]
        return not re.search(rf"\b{re.escape(name)}\b", file.read_text(encoding="utf-8"))
    return False


def _anchors(page: Path) -> Counter[str]:
    """Headings, as GitHub makes anchors of them."""
    headings = re.findall(r"^#+ (.+)$", _prose(page), flags=re.MULTILINE)
    return Counter(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)
