"""What the README shows is run: a newcomer copies it before reading anything else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_scenario_of_the_readme_finds_the_double_award(pytester: pytest.Pytester) -> None:
    """The example is complete, and its failure names the claim and the command that replays it."""
    [example] = blocks("python")
    pytester.makepyfile(test_example=example)

    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["one_award_per_order: order o-1 was awarded more than once*", "replay: pytest --schedule=*"]
    )


def test_the_first_two_commands_install_and_test() -> None:
    """CI's script and a newcomer's first minute rest on these two lines."""
    commands = [line for block in blocks("sh") for line in block.splitlines() if "pip install" in line]

    assert commands[:2] == [
        'python -m pip install -e ".[test]" && pytest scenarios/ -n auto',
        "python -m pip install tox && tox run -m test",
    ]
