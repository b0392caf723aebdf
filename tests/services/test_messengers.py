"""Telegram, Resend and the key servers: what reached whom, and how each refuses."""

from __future__ import annotations

from typing import Any

import pytest

from scenarios.services.plumbing import NotModelled
from scenarios.services.resend import Resend
from scenarios.services.servers import KeyServer
from scenarios.services.telegram import Telegram
from tests.services.caller import DAY, Caller, Now, work

SEND = "/bot1:test/sendMessage"


# Telegram ------------------------------------------------------------------------------------------------------------


def tell(telegram: Telegram, chat_id: Any = 7, text: str = "Paid") -> Any:
    return Caller(telegram).post(SEND, body={"chat_id": chat_id, "text": text})


def test_a_message_that_was_accepted_was_read(now: Now) -> None:
    """By form, by JSON or by query; the same call twice is two messages."""
    telegram = Telegram(now)
    tell(telegram)
    Caller(telegram).post(SEND, form={"chat_id": "7", "text": "Paid"})
    reply = Caller(telegram).get(f"{SEND}?chat_id=8&text=Hello")

    assert telegram.texts(7) == ["Paid", "Paid"]
    assert (reply.body["ok"], reply.body["result"]["message_id"]) == (True, 3)


def test_a_user_who_blocked_the_bot_is_lost_for_ever(now: Now) -> None:
    """403, each time."""
    telegram = Telegram(now)
    telegram.blocked.add(7)

    for _ in range(2):
        reply = tell(telegram)
        assert (reply.status, reply.body["error_code"], reply.body["ok"]) == (403, 403, False)
        assert reply.body["description"] == "Forbidden: bot was blocked by the user"
    assert telegram.sent == []


def test_a_flood_is_told_how_long_to_wait(now: Now) -> None:
    """429 with `retry_after`, by order or by the limit for one chat."""
    telegram = Telegram(now, chat_every_s=1.0)
    telegram.flood_next(35)

    refused, accepted, too_soon, other = tell(telegram), tell(telegram), tell(telegram), tell(telegram, 8)
    now.s += 1
    later = tell(telegram)

    assert (refused.status, refused.body["parameters"]) == (429, {"retry_after": 35})
    assert (accepted.status, too_soon.status, other.status, later.status) == (200, 429, 200, 200)
    assert too_soon.body["parameters"]["retry_after"] == 1


@pytest.mark.parametrize(
    ("chat_id", "text", "says"),
    [
        (7, " ", "message text is empty"),
        (7, "x" * 4097, "message is too long"),
        (9, "Paid", "chat not found"),
        ("", "Paid", "chat_id is empty"),
    ],
)
def test_a_wrong_message_is_a_bad_request(now: Now, chat_id: Any, text: str, says: str) -> None:
    """400 in Telegram's shape."""
    reply = tell(Telegram(now, chats={7}), chat_id, text)

    assert (reply.status, reply.body["description"]) == (400, f"Bad Request: {says}")


def test_an_unknown_bot_and_an_unknown_method_are_refused(now: Now) -> None:
    """401 and 404; a method that Telegram has and the stand-in has not is no answer."""
    caller = Caller(Telegram(now))

    assert caller.post("/bot2:test/sendMessage", body={}).status == 401
    assert caller.post("/bot1:test/sendMesage", body={}).status == 404
    assert caller.post("/sendMessage", body={}).status == 404
    assert caller.post(SEND, body="{").status == 400
    with pytest.raises(NotModelled, match="editMessageText"):
        caller.post("/bot1:test/editMessageText", body={})


# Resend --------------------------------------------------------------------------------------------------------------

MAIL = {
    "from": "shop@example.com",
    "to": "payer@example.com",
    "subject": "Your result",
    "html": "<p>Good</p>",
}
KEYED = {"idempotency-key": "lead-1:result"}


def mail(resend: Resend, body: Any = MAIL, **headers: str) -> Any:
    return Caller(resend, authorization="Bearer re_test").post("/emails", body=body, headers=headers)


def test_the_same_key_and_payload_is_one_mail(now: Now) -> None:
    """The same id; without a key every call is a mail."""
    resend = Resend(now)

    first, again = mail(resend, **KEYED), mail(resend, **KEYED)
    assert (first.body, len(resend.to("payer@example.com"))) == (again.body, 1)

    mail(resend)
    mail(resend)
    assert len(resend.accepted) == 3
    found = Caller(resend, authorization="Bearer re_test").get(f"/emails/{first.body['id']}").body
    assert (found["subject"], found["to"]) == ("Your result", ["payer@example.com"])


def test_the_same_key_with_another_payload_is_a_conflict(now: Now) -> None:
    """409 `invalid_idempotent_request`, and no mail."""
    resend = Resend(now)
    mail(resend, **KEYED)

    reply = mail(resend, MAIL | {"subject": "Your other result"}, **KEYED)

    assert (reply.status, reply.body["name"]) == (409, "invalid_idempotent_request")
    assert len(resend.accepted) == 1


def test_a_key_at_work_is_another_conflict(now: Now) -> None:
    """409 `concurrent_idempotent_requests`, and the id once it is done."""
    resend = Resend(now, work=work)
    caller = Caller(resend, authorization="Bearer re_test")
    first = caller.begin("POST", "/emails", body=MAIL, headers=KEYED)

    meanwhile = mail(resend, **KEYED)
    made = first.end()

    assert (meanwhile.status, meanwhile.body["name"]) == (409, "concurrent_idempotent_requests")
    assert mail(resend, **KEYED).body == made.body


@pytest.mark.parametrize(("after_s", "mails"), [(DAY - 1, 1), (DAY, 2)])
def test_a_key_is_good_for_a_day(now: Now, after_s: float, mails: int) -> None:
    """Then it is a new mail."""
    resend = Resend(now)
    mail(resend, **KEYED)
    now.s += after_s
    mail(resend, **KEYED)

    assert len(resend.accepted) == mails


@pytest.mark.parametrize(
    ("body", "headers", "status", "name"),
    [
        (MAIL, {"idempotency-key": "k" * 257}, 400, "invalid_idempotency_key"),
        (MAIL | {"to": ""}, {}, 422, "missing_required_field"),
        (MAIL | {"html": ""}, {}, 422, "missing_required_field"),
        (MAIL | {"reference": "1"}, {}, 422, "validation_error"),
        ("{", {}, 422, "validation_error"),
        (MAIL, {"authorization": ""}, 401, "missing_api_key"),
        (MAIL, {"authorization": "Bearer re_other"}, 403, "invalid_api_key"),
    ],
)
def test_a_wrong_mail_is_refused_in_resends_shape(
    now: Now, body: Any, headers: dict[str, str], status: int, name: str
) -> None:
    """Status code, name and message; nothing goes out."""
    resend = Resend(now)

    reply = mail(resend, body, **headers)

    assert (reply.status, reply.body["statusCode"], reply.body["name"]) == (status, status, name)
    assert resend.accepted == []


def test_resend_has_a_rate_limit_and_no_other_endpoints(now: Now) -> None:
    """429 within the second, 404 elsewhere, and no answer about what is not modelled."""
    resend = Resend(now, requests_per_s=1)

    assert [mail(resend).status, mail(resend).body["name"]] == [200, "rate_limit_exceeded"]
    now.s += 1
    assert Caller(resend, authorization="Bearer re_test").get("/mails").body["name"] == "not_found"
    now.s += 1
    with pytest.raises(NotModelled, match="attachments"):
        mail(resend, MAIL | {"attachments": []})


# Key servers ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def server(now: Now) -> KeyServer:
    """One server."""
    return KeyServer(now)


def key(server: KeyServer, method: str, path: str, body: Any = None) -> Any:
    return Caller(server, authorization="Bearer test").ask(method, path, body=body)


def test_a_key_is_put_and_removed_by_name(server: KeyServer) -> None:
    """Repeating either changes nothing."""
    for _ in range(2):
        assert key(server, "PUT", "/keys/sub-224", {"owner": "7", "limit_mb": 1000}).status == 200
    assert server.keys_of("7") == ["sub-224"]
    for _ in range(2):
        assert key(server, "DELETE", "/keys/sub-224").status == 200
    assert key(server, "GET", "/keys").body["obj"] == []


def test_to_create_a_key_twice_is_to_have_two(server: KeyServer) -> None:
    """As the deployed code did it."""
    for _ in range(2):
        key(server, "POST", "/keys", {"owner": "7"})

    assert server.keys_of("7") == ["key-1", "key-2"]


def test_traffic_is_reset_and_each_reset_is_counted(server: KeyServer) -> None:
    """Putting the key again keeps what was used."""
    key(server, "PUT", "/keys/sub-224", {"owner": "7", "limit_mb": 1000})
    server.keys["sub-224"].used_mb = 900
    key(server, "PUT", "/keys/sub-224", {"owner": "7", "limit_mb": 2000})
    assert server.keys["sub-224"].used_mb == 900

    for _ in range(2):
        assert key(server, "POST", "/keys/sub-224/reset-traffic").body["obj"]["used_mb"] == 0
    assert server.keys["sub-224"].resets == 2
    assert key(server, "POST", "/keys/none/reset-traffic").status == 404


@pytest.mark.parametrize(("applied", "keys"), [(True, ["sub-224"]), (False, [])])
def test_a_call_may_fail_with_or_without_its_effect(
    server: KeyServer, applied: bool, keys: list[str]
) -> None:
    """The answer is the same 500."""
    server.fail_next(applied=applied)

    assert key(server, "PUT", "/keys/sub-224", {"owner": "7"}).status == 500
    assert list(server.keys) == keys


def test_one_server_may_be_down_while_another_is_up(now: Now) -> None:
    """Each fails on its own."""
    up, down = KeyServer(now), KeyServer(now)
    down.down = True

    assert [key(one, "PUT", "/keys/sub-224", {"owner": "7"}).status for one in (up, down)] == [200, 503]


@pytest.mark.parametrize("body", [{"owner": 7}, {"limit_mb": -1}, {"limit": 1}, "{"])
def test_a_wrong_key_is_refused(server: KeyServer, body: Any) -> None:
    """400 with a message; strangers and unknown endpoints get 401 and 404."""
    assert key(server, "PUT", "/keys/sub-224", body).status == 400
    assert Caller(server).get("/keys").status == 401
    assert key(server, "GET", "/users").status == 404
