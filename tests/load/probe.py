"""``python -m tests.load.probe URL``: posts one notification again and again, and prints how long each answer took, in milliseconds.

A process of its own, because the one that plays all the providers is the busiest of a run: what it measures is mostly its own queue.
"""

from __future__ import annotations

import sys
import time

import httpx

EVERY_S = 0.2
BODY = {"type": "notification", "event": "payment.canceled", "object": {"id": "probe"}}
FROM_YOOKASSA = {"X-Forwarded-For": "77.75.156.11"}


def probe(url: str) -> None:
    """Until somebody ends it."""
    with httpx.Client(base_url=url, trust_env=False, timeout=30, headers=FROM_YOOKASSA) as http:
        while True:
            began = time.perf_counter()
            try:
                status = http.post("/yookassa/webhook", json=BODY).status_code
            except httpx.HTTPError:
                status = 0
            print(f"{status} {1000 * (time.perf_counter() - began):.1f}", flush=True)
            time.sleep(EVERY_S)


if __name__ == "__main__":
    probe(sys.argv[1])
