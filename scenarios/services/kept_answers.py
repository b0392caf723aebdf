"""Answers kept under an idempotency key. What a conflict is called, and what is not kept, is each provider's business."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from scenarios.services.plumbing import Answer, Clock, Refused

DAY_S = 86_400.0


@dataclass(slots=True, eq=False)
class Kept:
    """One key's use.

    Attributes:
        endpoint: method and path of the first request.
        body: of the first request; a provider compares it.
        since: when the first request came, in unix seconds.
        request_id: the first request's.
        answer: None while that request is still at work.
    """

    endpoint: str
    body: object
    since: float
    request_id: str = ""
    answer: Answer | None = None


class KeptAnswers:
    """What was answered under which key, until it is forgotten.

    Args:
        clock: unix seconds.
        keep_s: how long after a key's first request it is remembered.
    """

    def __init__(self, clock: Clock, *, keep_s: float = DAY_S) -> None:
        self._clock = clock
        self._keep_s = keep_s
        self._kept: dict[str, Kept] = {}

    async def once(
        self,
        key: str,
        endpoint: str,
        body: object,
        work: Callable[[], Awaitable[Answer]],
        *,
        again: Callable[[Kept], Answer],
        request_id: str = "",
    ) -> Answer:
        """Answers a request under a key: works for the first one, and keeps its answer for the others.

        Args:
            key: the client's.
            endpoint: method and path.
            body: what later requests are compared with.
            work: what the first request brings about; when it raises, nothing came of it and nothing is kept.
            again: the answer to a later request, also while the first is at work.
            request_id: the first request's.
        """
        kept = self._find(key)
        if kept is not None:
            return again(kept)
        kept = self._kept[key] = Kept(endpoint, body, self._clock(), request_id)
        try:
            kept.answer = await work()
        except Refused:
            del self._kept[key]
            raise
        return kept.answer

    def _find(self, key: str) -> Kept | None:
        """The key's use; None when it is new or forgotten (a forgotten key is a new one)."""
        kept = self._kept.get(key)
        if kept is not None and kept.answer is not None and self._clock() - kept.since >= self._keep_s:
            del self._kept[key]
            return None
        return kept
