"""Answers kept under an idempotency key. What a conflict is called, and what is not kept, is each provider's business."""

from __future__ import annotations

from dataclasses import dataclass

from scenarios.services.plumbing import Answer, Clock

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

    def find(self, key: str) -> Kept | None:
        """The key's use; None when it is new or forgotten (a forgotten key is a new one)."""
        kept = self._kept.get(key)
        if kept is not None and kept.answer is not None and self._clock() - kept.since >= self._keep_s:
            del self._kept[key]
            return None
        return kept

    def begin(self, key: str, endpoint: str, body: object, *, request_id: str = "") -> Kept:
        """A request under a key goes to work."""
        kept = self._kept[key] = Kept(endpoint, body, self._clock(), request_id)
        return kept

    def forget(self, key: str) -> None:
        """As if the key had never been used."""
        self._kept.pop(key, None)
