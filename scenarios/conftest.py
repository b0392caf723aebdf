"""Says at once what is missing: the scenarios run the reference with its clients, and those are an extra."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

_NEEDED = ("httpx", "stripe", "starlette", "pydantic", "sqlglot")


def pytest_configure() -> None:
    """Before anything is imported, so that there is one sentence instead of a traceback for each file.

    Raises:
        pytest.UsageError: a library is missing.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise pytest.UsageError(
            f"the scenarios need {', '.join(missing)}: python -m pip install -e '.[test]' brings all of it"
        )
