"""What the deployed code stands on: its database, its providers, and ``setTimeout``; handed in by whoever runs it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from scenarios.incidents.triple_sms.deployed.supabase import Supabase


class Reply(Protocol):
    """An answer."""

    @property
    def status(self) -> int:
        """200 and so on."""

    def json(self) -> Any:
        """Its body; raises ValueError when that is no JSON."""


class Fetch(Protocol):
    """``fetch``: no timeout of its own, no retries."""

    async def post(
        self,
        url: str,
        *,
        form: Mapping[str, str] | None = None,
        json: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One POST; raises when no answer comes."""


SetTimeout = Callable[[float, Callable[[], Awaitable[None]]], None]
"""Runs a callback after so many seconds, unless the process is gone by then; nobody waits for it."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """One process's surroundings.

    Args:
        supabase: the landing's database.
        fetch: the way to Mobizon and Resend.
        set_timeout: the process's timers, which die with it.
    """

    supabase: Supabase
    fetch: Fetch
    set_timeout: SetTimeout
