"""V2Ray key servers: each has the keys that it was told to have, and each fails on its own.

Our own API, since there is no common one: a key is put or removed by name, so that repeating a call changes nothing, and its
traffic is reset once under one ``reference``; and ``POST /keys`` makes a key with a new name each time, as the deployed
code's "create key" did.

Not modelled: traffic that flows, users that connect, the panel's log-in and session.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from scenarios.services.plumbing import (
    Answer,
    Clock,
    Fault,
    Refused,
    Request,
    Service,
    answer_json,
    route,
)


@dataclass(slots=True)
class Key:
    """What a server knows of one key.

    Attributes:
        owner: whose it is, as we named them.
        limit_mb: of traffic; 0 is unlimited.
        used_mb: since the last reset.
        resets: how often the traffic was reset, which is free traffic when it is more than once for a payment.
        reset_for: the references under which it was; each of them resets once.
    """

    owner: str
    limit_mb: int
    used_mb: int = 0
    resets: int = 0
    reset_for: set[str] = field(default_factory=set)


def server_error(status: int, message: str) -> Refused:
    """An error in the servers' shape."""
    return Refused(answer_json({"success": False, "msg": message}, status))


class KeyServer(Service):
    """One server.

    Args:
        clock: unix seconds.
        bearer: what comes after ``Authorization: Bearer``.

    Attributes:
        keys: by name.
        down: answers 503 to everything and does nothing.
    """

    def __init__(self, clock: Clock, *, bearer: str = "test") -> None:
        super().__init__(clock)
        self._bearer = bearer
        self.keys: dict[str, Key] = {}
        self.down = False
        self._endpoints: list[tuple[str, str, Callable[[Request, str], Any]]] = [
            ("GET", r"/keys", self._list),
            ("POST", r"/keys", self._create),
            ("PUT", r"/keys/([^/]+)", self._put),
            ("DELETE", r"/keys/([^/]+)", self._remove),
            ("POST", r"/keys/([^/]+)/reset-traffic", self._reset),
        ]

    def fail_next(self, *, applied: bool) -> None:
        """The next call answers 500; its effect has happened, or it has not."""
        self.strike(Fault.FAILED_AFTER if applied else Fault.FAILED)

    def busy(self) -> Answer:
        """429."""
        return server_error(429, "too many requests").answer

    def broken(self) -> Answer:
        """500."""
        return server_error(500, "internal error").answer

    def keys_of(self, owner: str) -> list[str]:
        """The names of an owner's keys: more than one is a leak."""
        return [name for name, key in self.keys.items() if key.owner == owner]

    async def answer(self, request: Request) -> Answer:
        """Answers one request."""
        if self.down:
            raise server_error(503, "the server is being restarted")
        if request.headers.get("authorization") != f"Bearer {self._bearer}":
            raise server_error(401, "unauthorized")
        found = route(self._endpoints, request)
        if found is None:
            raise server_error(404, f"no such endpoint: {request.method} {request.path}")
        endpoint, name = found
        return answer_json({"success": True, "obj": endpoint(request, name)})

    def _list(self, _request: Request, _name: str) -> list[dict[str, Any]]:
        return [self._shown(name) for name in self.keys]

    def _create(self, request: Request, _name: str) -> dict[str, Any]:
        name = f"key-{len(self.arrived)}"
        self.keys[name] = _key(request)
        return self._shown(name)

    def _put(self, request: Request, name: str) -> dict[str, Any]:
        wanted = _key(request)
        key = self.keys.setdefault(name, wanted)
        key.owner, key.limit_mb = wanted.owner, wanted.limit_mb
        return self._shown(name)

    def _remove(self, _request: Request, name: str) -> None:
        self.keys.pop(name, None)

    def _reset(self, request: Request, name: str) -> dict[str, Any]:
        if name not in self.keys:
            raise server_error(404, f"no such key: {name}")
        key, reference = self.keys[name], _reference(request)
        if reference is None or reference not in key.reset_for:
            key.used_mb = 0
            key.resets += 1
        if reference is not None:
            key.reset_for.add(reference)
        return self._shown(name)

    def _shown(self, name: str) -> dict[str, Any]:
        key = self.keys[name]
        return {"name": name, "owner": key.owner, "limit_mb": key.limit_mb, "used_mb": key.used_mb}


def _key(request: Request) -> Key:
    try:
        body = request.json_object()
    except ValueError:
        raise server_error(400, "the body is not a valid JSON object") from None
    unknown = [name for name in body if name not in ("owner", "limit_mb")]
    limit_mb = body.get("limit_mb", 0)
    if unknown or not isinstance(limit_mb, int) or limit_mb < 0 or not isinstance(body.get("owner", ""), str):
        raise server_error(400, f"a key has an owner and a limit_mb of 0 or more; got {sorted(body)}")
    return Key(body.get("owner", ""), limit_mb)


def _reference(request: Request) -> str | None:
    try:
        body = request.json_object()
    except ValueError:
        raise server_error(400, "the body is not a valid JSON object") from None
    if set(body) - {"reference"}:
        raise server_error(400, "a reset takes a reference and nothing else")
    reference = body.get("reference")
    if reference is not None and not isinstance(reference, str):
        raise server_error(400, "a reference is a text")
    return reference
