"""The staff see what waits and what was given up, have it tried once more, and make a deal's new link."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reference import AmbiguousError, CheckoutSession, RefusedError, SessionPayment, SessionStatus
from reference.policies import JOBS, Topic

if TYPE_CHECKING:
    from conftest import Door

ADMIN = "admin-token"
NEW_LINK = "/v1/admin/deals/1680/payments/deposit/new-link"


async def blocked_bots(door: Door, *users: int) -> list[str]:
    """Purchases whose notices were given up."""
    door.shop.telegram.broken = RefusedError("403: bot was blocked by the user")
    payments = []
    for user in users:
        payments.append(await door.shop.bought(f"tap-{user}", user=user))
        await door.work()
        door.shop.clock.at += 1
    door.shop.telegram.broken = None
    return payments


async def test_dead_letters_are_listed_oldest_first_and_in_pages(door: Door) -> None:
    """Each says what it is about and how it ended."""
    payments = await blocked_bots(door, 11, 12, 13)
    first = (await door.get("/v1/admin/dead-letters?limit=2", token=ADMIN)).json()
    assert (first["total"], first["next_after"]) == (3, f"notice:{payments[1]}")
    assert [letter["payment_id"] for letter in first["letters"]] == payments[:2]
    assert first["letters"][0]["topic"] == "notice"
    assert "403" in first["letters"][0]["error"]
    rest = (await door.get(f"/v1/admin/dead-letters?after={first['next_after']}", token=ADMIN)).json()
    assert [letter["payment_id"] for letter in rest["letters"]] == payments[2:]
    assert rest["next_after"] is None


async def test_a_dead_letter_is_tried_once_more_and_who_asked_is_on_record(either_door: Door) -> None:
    """Pressed twice it is one attempt."""
    door = either_door
    (payment,) = await blocked_bots(door, 11)
    wanted = {"key": f"notice:{payment}", "operator": "anna"}
    pressed = [await door.post("/v1/admin/dead-letters/retry", wanted, token=ADMIN) for _ in range(2)]
    assert [response.status_code for response in pressed] == [200, 404]
    await door.work()
    assert [sent[0] for sent in door.shop.telegram.sent] == [11]
    note = await door.shop.one("SELECT actor, ref FROM audit WHERE action = 'retry_dead_letter'")
    assert tuple(note) == ("anna", f"notice:{payment}#1")
    assert (await door.get("/v1/admin/dead-letters", token=ADMIN)).json()["letters"] == []
    assert await door.shop.broken_claims() == {}


async def test_a_dead_letter_whose_cause_is_still_there_dies_again(door: Door) -> None:
    """After one attempt, not after twelve."""
    payment = await door.shop.bought("tap", user=11)
    door.shop.telegram.broken = ConnectionError("down")
    for _ in range(JOBS[Topic.NOTICE].attempts_max):
        await door.work()
        door.shop.clock.at += 3600
    wanted = {"key": f"notice:{payment}", "operator": "anna"}
    assert (await door.post("/v1/admin/dead-letters/retry", wanted, token=ADMIN)).status_code == 200
    await door.work()
    letter = (await door.get("/v1/admin/dead-letters", token=ADMIN)).json()["letters"][0]
    assert letter["attempts"] == JOBS[Topic.NOTICE].attempts_max + 1


async def test_a_job_that_lives_is_no_dead_letter(door: Door) -> None:
    """It is in good hands."""
    payment = await door.shop.bought()
    wanted = {"key": f"notice:{payment}", "operator": "anna"}
    assert (await door.post("/v1/admin/dead-letters/retry", wanted, token=ADMIN)).status_code == 404


async def test_award_statistics_are_what_the_service_says(door: Door) -> None:
    """Read from the tables: any process says the same, also one that has just started."""
    await door.shop.contest()
    await door.shop.bought()
    before = (await door.get("/v1/admin/award-retry-stats", token=ADMIN)).json()
    await door.work()
    door.open(door.settings)
    after = (await door.get("/v1/admin/award-retry-stats", token=ADMIN)).json()
    assert (before["waiting"], before["awarded"]) == (1, 0)
    assert (after["waiting"], after["awarded"], after["tickets"]) == (0, 1, {"SELF_PURCHASE": 5})


class Pages:
    """Stripe, as far as making and closing pages goes."""

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.sessions: dict[str, CheckoutSession] = {}
        self.broken: Exception | None = None

    async def create(self, _request: Any) -> CheckoutSession:
        if self.broken:
            raise self.broken
        name = f"cs_test_{len(self.sessions) + 1}"
        made = CheckoutSession(
            name,
            SessionStatus.OPEN,
            SessionPayment.UNPAID,
            50_000,
            "EUR",
            None,
            f"https://checkout.example/{name}",
            int(self.clock()),
            int(self.clock()) + 80_000,
        )
        self.sessions[name] = made
        return made

    async def expire(self, session_id: str) -> CheckoutSession:
        if self.broken:
            raise self.broken
        self.sessions[session_id] = replace(self.sessions[session_id], status=SessionStatus.EXPIRED, url=None)
        return self.sessions[session_id]

    async def retrieve(self, session_id: str) -> CheckoutSession | None:
        return self.sessions.get(session_id)


async def with_a_deal(door: Door) -> Pages:
    pages = Pages(door.shop.clock)
    door.open(door.settings, stripe=pages)
    deal = {
        "id": 1680,
        "title": "Deal 1680",
        "status": "open",
        "user_id": 7,
        "amount_minor": 100_000,
        "currency": "EUR",
        "close_date": int(door.shop.clock.at) + 90 * 86_400,
        "version": 1,
    }
    assert (await door.post("/crm/webhook", deal, token="crm-token")).status_code == 200
    return pages


async def test_what_the_crm_has_told_becomes_a_page_by_a_job(door: Door) -> None:
    """Once, however often it is told; the halves of a deal whose close date is far away begin with the deposit."""
    pages = await with_a_deal(door)
    assert pages.sessions == {}
    worker = replace(door.shop.service, checkout_sessions=pages)
    for _ in range(2):
        await worker.relay()
        await with_a_deal(door)
    claims = await door.shop.rows("SELECT kind, state FROM session_claims")
    assert [tuple(claim) for claim in claims] == [("deposit", "open")]
    assert list(pages.sessions) == ["cs_test_1"]
    assert await door.shop.broken_claims() == {}


async def test_an_operators_new_link_closes_the_open_page_and_opens_one(door: Door) -> None:
    """Pressed twice: two pages were made, one is open."""
    pages = await with_a_deal(door)
    links = [await door.post(NEW_LINK, {"operator": "anna"}, token=ADMIN) for _ in range(2)]
    assert [link.json()["result"] for link in links] == ["open", "open"]
    assert [session.status for session in pages.sessions.values()] == ["expired", "open"]
    assert links[1].json()["url"] == "https://checkout.example/cs_test_2"


async def test_a_stripe_that_does_not_answer_the_closing_is_503(door: Door) -> None:
    """The page may be closed or not; the same press goes on from there."""
    pages = await with_a_deal(door)
    await door.post(NEW_LINK, {"operator": "anna"}, token=ADMIN)
    pages.broken = AmbiguousError("timeout")
    assert (await door.post(NEW_LINK, {"operator": "anna"}, token=ADMIN)).status_code == 503
    pages.broken = None
    assert (await door.post(NEW_LINK, {"operator": "anna"}, token=ADMIN)).json()["result"] == "open"


async def test_a_stripe_that_does_not_answer_the_creation_leaves_a_claim_with_a_job(door: Door) -> None:
    """That is an answer: somebody comes back to it."""
    pages = await with_a_deal(door)
    pages.broken = AmbiguousError("timeout")
    response = await door.post(NEW_LINK, {"operator": "anna"}, token=ADMIN)
    assert (response.status_code, response.json()["result"]) == (200, "claimed")


async def test_without_stripe_there_is_no_such_route(door: Door) -> None:
    """A claim that nobody here could act on is not made."""
    from reference.http import application

    door.app = application(door.shop.service, door.settings)
    assert (await door.post(NEW_LINK, {"operator": "anna"}, token=ADMIN)).status_code == 404
