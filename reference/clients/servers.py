"""The V2Ray servers: each call sets a state by name, so it is repeated without a thought; each server fails on its own.

A reset of traffic carries the payment that bought it, and the server does it once for each: a repetition would be free traffic.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote

from reference.clients.errors import of_status
from reference.clients.http import Question, Reply, Wire, as_json
from reference.clients.settings import KeyServer, Patience
from reference.ports import RemoteError

if TYPE_CHECKING:
    import httpx


class V2RayServers:
    """`reference.ports.KeyServers`, each under the id that it has in our table ``servers``."""

    def __init__(
        self, servers: Mapping[str, KeyServer], http: httpx.AsyncClient, *, patience: Patience
    ) -> None:
        self._wires = {
            server_id: Wire(
                f"server {server_id}",
                http,
                base_url=server.base_url,
                judge=_judge,
                patience=patience,
                headers={"authorization": f"Bearer {server.token}"},
                secrets=(server.token,),
            )
            for server_id, server in servers.items()
        }

    def __repr__(self) -> str:
        return f"V2RayServers({list(self._wires.values())!r})"

    async def put(self, server_id: str, subscription_id: str, traffic_limit_mb: int) -> None:
        """See `KeyServers.put`."""
        body, headers = as_json({"owner": subscription_id, "limit_mb": traffic_limit_mb})
        await self._ask(server_id, Question("PUT", _path(subscription_id), True, headers=headers, body=body))

    async def remove(self, server_id: str, subscription_id: str) -> None:
        """See `KeyServers.remove`."""
        await self._ask(server_id, Question("DELETE", _path(subscription_id), True))

    async def reset_traffic(self, server_id: str, subscription_id: str, reference: str) -> None:
        """See `KeyServers.reset_traffic`."""
        body, headers = as_json({"reference": reference})
        path = f"{_path(subscription_id)}/reset-traffic"
        await self._ask(server_id, Question("POST", path, True, headers=headers, body=body))

    async def _ask(self, server_id: str, question: Question) -> None:
        if server_id not in self._wires:
            known = ", ".join(self._wires) or "none"
            raise LookupError(f"no address for the key server {server_id!r}; the settings have: {known}")
        await self._wires[server_id].ask(question, lambda reply: reply.body["obj"])


def _path(subscription_id: str) -> str:
    return f"/keys/{quote(subscription_id, safe='')}"


def _judge(reply: Reply) -> RemoteError | None:
    said = reply.fields.get("msg")
    words = said if reply.fields.get("success") is False and isinstance(said, str) else None
    return of_status(reply.status, words, retry_after_s=reply.retry_after_s())
