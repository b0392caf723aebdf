"""What lies beyond the backend: Mobizon, Resend and a Redis. What Mobizon has accepted is the truth about SMS."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from json import dumps
from typing import Any
from urllib.parse import urlencode, urlsplit
from weakref import WeakKeyDictionary

from scenarios.incidents.triple_sms.deployed.supabase import Fails
from scenarios.services.in_world import unix_clock
from scenarios.services.mobizon import Mobizon
from scenarios.services.resend import Resend
from simulator import World
from simulator.network import Network
from simulator.network_http import HttpRequest

_of_world: WeakKeyDictionary[World, Remote] = WeakKeyDictionary()


class Remote:
    """The services around one world.

    Args:
        world: whose.
        lag_s: how far Mobizon's list lags behind; nobody documents it.

    Attributes:
        supabase_fails: asked before each request to the landing's database; a text is the error that it ends with.
    """

    def __init__(self, world: World, *, lag_s: float = 0.0) -> None:
        clock = unix_clock(world)
        self.mobizon = Mobizon(clock, lag_s=lag_s)
        self.resend = Resend(clock)
        self.redis = SharedMemory(world)
        self.supabase_fails: Fails = _never
        self.network = Network(world)
        self.network.serve("api.mobizon.kz", _telling(world, self.mobizon, "SMS"), name="mobizon")
        self.network.serve("api.resend.com", _telling(world, self.resend, "e-mail"), name="resend")
        _of_world[world] = self


def _telling(world: World, service: Mobizon | Resend, what: str) -> Any:
    """The service; a report shows at which step it has accepted something."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        before = len(service.accepted)
        await service(scope, receive, send)
        if len(service.accepted) > before:
            world.note(f"{what} {len(service.accepted)} is accepted")

    return application


async def _never(_sql: str) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


class WorldFetch:
    """The deployed code's ``fetch``, on a world's network."""

    def __init__(self, network: Network) -> None:
        self._network = network

    async def post(
        self,
        url: str,
        *,
        form: Mapping[str, str] | None = None,
        json: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One POST; it waits for its answer as long as it takes."""
        split = urlsplit(url)
        kind = "application/json" if form is None else "application/x-www-form-urlencoded"
        body = dumps(json) if form is None else urlencode(form)
        sent = {"content-type": kind, **{name.lower(): value for name, value in (headers or {}).items()}}
        request = HttpRequest(
            "POST", split.path, split.hostname or "", split.query, tuple(sent.items()), body.encode()
        )
        response = await self._network.send(request)
        return Reply(response.status, response.body)


class SharedMemory:
    """A Redis: each command is one call, and it survives the backend."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._kept: dict[str, tuple[float, float]] = {}

    async def get(self, key: str) -> float | None:
        """GET."""
        return await self._world.call(f"redis GET {_kind(key)}", lambda: self._now(key))

    async def set(self, key: str, value: float) -> None:
        """SET."""
        await self._world.call(f"redis SET {_kind(key)}", lambda: self._put(key, value, float("inf")))

    async def set_if_absent(self, key: str, value: float, *, expires_s: float) -> bool:
        """SET NX EX."""

        def put() -> bool:
            if self._now(key) is not None:
                return False
            self._put(key, value, self._world.clock.now_s + expires_s)
            return True

        return await self._world.call(f"redis SET {_kind(key)} NX", put)

    def _now(self, key: str) -> float | None:
        value, until = self._kept.get(key, (0.0, 0.0))
        return value if self._world.clock.now_s < until else None

    def _put(self, key: str, value: float, until: float) -> None:
        self._kept[key] = value, until


def _kind(key: str) -> str:
    return key.partition(":")[0]  # the rest is a lead's id: a name in a schedule says what it is about


# What is counted ---------------------------------------------------------------------------------------------------


def sms_to(world: World, phone: str) -> list[datetime]:
    """When Mobizon accepted an SMS to this number, in order."""
    accepted = _of_world[world].mobizon.accepted
    return [datetime.fromtimestamp(sms.at, UTC) for sms in accepted if sms.recipient == phone]


def mails_to(world: World, address: str) -> int:
    """How many e-mails Resend has accepted for this address."""
    return len(_of_world[world].resend.to(address))
