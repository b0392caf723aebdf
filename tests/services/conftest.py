"""What tests of stand-ins share."""

from __future__ import annotations

import pytest

from tests.services.caller import Now


@pytest.fixture
def now() -> Now:
    """The service's clock."""
    return Now()
