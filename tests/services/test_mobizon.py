"""Mobizon's stand-in: what was accepted is sent, and hard to find again."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from typing import Any

import pytest

from scenarios.services.mobizon import Mobizon
from scenarios.services.plumbing import NotModelled
from tests.services.caller import Caller, Now

PHONE = "77000000000"
RESULT = {"recipient": PHONE, "text": "Ваш результат", "params[name]": "lead-1:result"}
URL = "https://shop.example.com/mobizon"


def call(mobizon: Mobizon, method: str, form: dict[str, Any] | None = None, **options: Any) -> Any:
    url = f"/service/{method}?output=json&api=v1&apiKey=test"
    if options:
        return Caller(mobizon).post(url, **options).body
    return Caller(mobizon).post(url, form=form or {}).body


def send(mobizon: Mobizon, **changes: str) -> Any:
    return call(mobizon, "message/sendSmsMessage", RESULT | changes)


def found(mobizon: Mobizon, method: str = "message/list", **criteria: str) -> list[Any]:
    answer = call(mobizon, method, {f"criteria[{name}]": value for name, value in criteria.items()})
    assert answer["code"] == 0, answer
    return [one["id"] for one in answer["data"]["items"]]


@pytest.fixture
def mobizon(now: Now) -> Mobizon:
    """An account with reports."""
    return Mobizon(now, report_url=URL, report_secret="s3")


def test_each_accepted_request_is_a_message(mobizon: Mobizon) -> None:
    """There is no key: twice the same is two SMS, both counted under our reference."""
    first, second = send(mobizon), send(mobizon)

    assert first == {"code": 0, "data": {"campaignId": 1001, "messageId": 1, "status": 2}, "message": ""}
    assert second["data"]["messageId"] == 2
    assert [sms.recipient for sms in mobizon.named("lead-1:result")] == [PHONE, PHONE]


def test_json_is_taken_as_well_as_a_form(mobizon: Mobizon) -> None:
    """With parameters as an object; a plus before the number is dropped."""
    body = {"recipient": f"+{PHONE}", "text": "Hello", "params": {"name": "lead-2:result"}}

    assert call(mobizon, "message/sendSmsMessage", body=body)["code"] == 0
    assert mobizon.named("lead-2:result")[0].recipient == PHONE


def test_a_message_is_found_by_recipient_exact_text_and_window(mobizon: Mobizon, now: Now) -> None:
    """A part of the number finds it too; a part of the text does not."""
    send(mobizon)
    now.s += 3600
    send(mobizon, recipient="77000000001", text="Другой текст")

    assert found(mobizon, to=PHONE) == [1]
    assert found(mobizon, to="7700000000") == [2, 1]
    assert found(mobizon, text="Ваш результат") == [1]
    assert found(mobizon, text="Ваш") == []
    assert found(mobizon, startSendTsFrom="2026-01-01 00:30:00") == [2]
    assert found(mobizon, startSendTsTo="2026-01-01 00:00:00") == [1]
    assert found(mobizon, campaignCreateTsFrom="2026-01-01 01:00:00", to="77000000001") == [2]


def test_our_reference_can_be_read_with_the_campaign_and_is_no_criterion(mobizon: Mobizon) -> None:
    """The list of messages does not even show it."""
    send(mobizon)

    (message,) = call(mobizon, "message/list", {"criteria[to]": PHONE})["data"]["items"]
    (campaign,) = call(mobizon, "campaign/list", {"criteria[ids][0]": message["campaignId"]})["data"]["items"]
    refused = call(mobizon, "campaign/list", {"criteria[name]": "lead-1:result"})

    assert "name" not in message
    assert (campaign["id"], campaign["name"]) == (1001, "lead-1:result")
    assert found(mobizon, "campaign/list", recipient=PHONE, text="Ваш результат") == [1001]
    assert refused["code"] == 12


def test_the_lists_lag_behind(now: Now) -> None:
    """What was accepted just now is not found yet; by its id it is."""
    mobizon = Mobizon(now, lag_s=30)
    send(mobizon)

    assert found(mobizon, to=PHONE) == []
    assert call(mobizon, "message/getSMSStatus", {"ids[0]": "1"})["data"][0]["status"] == "ENQUEUD"
    now.s += 30
    assert found(mobizon, to=PHONE) == [1]


def test_lists_have_pages_newest_first(mobizon: Mobizon) -> None:
    """Of 25, 50 or 100, counted from zero."""
    for _ in range(26):
        send(mobizon)

    second = call(mobizon, "message/list", {"pagination[currentPage]": "1"})["data"]

    assert ([one["id"] for one in second["items"]], second["totalItemCount"]) == ([1], 26)
    assert call(mobizon, "message/list", {"pagination[pageSize]": "10"})["code"] == 12


def test_statuses_are_asked_by_ids(mobizon: Mobizon) -> None:
    """As a list or as a text, a hundred at most; what there is not is left out."""
    send(mobizon)
    mobizon.deliver(mobizon.accepted[0])

    (status,) = call(mobizon, "message/getSMSStatus", {"ids": "1,9"})["data"]

    assert (status["id"], status["status"], status["segNum"]) == (1, "DELIVRD", 1)
    assert call(mobizon, "message/getSMSStatus")["code"] == 2
    assert call(mobizon, "message/getSMSStatus", {"ids": ",".join(map(str, range(101)))})["code"] == 12


def test_a_report_is_signed_anew_with_each_attempt_and_keeps_its_id(mobizon: Mobizon, now: Now) -> None:
    """Ten attempts, each a minute further apart; only 2xx counts."""
    send(mobizon)
    mobizon.deliver(mobizon.accepted[0], status="UNDELIV")
    seen, times = [], []
    while (at := mobizon.reports.next_at()) is not None:
        now.s = at
        times.append(at)
        (delivery,) = mobizon.reports.due()
        seen.append(json.loads(delivery.render(delivery).body))
        mobizon.reports.answered(delivery, 302)

    assert [one["attempt"] for one in seen] == list(range(1, 11))
    assert [later - earlier for earlier, later in pairwise(times)] == [60.0 * n for n in range(1, 10)]
    assert {one["eventId"] for one in seen} == {1}
    assert seen[2]["sign"] == hashlib.sha1(b"1|3|2026-01-01 00:00:00|s3").hexdigest()
    assert (seen[0]["data"]["status"], seen[0]["data"]["to"]) == ("UNDELIV", PHONE)


def test_a_report_comes_for_a_final_status_only(mobizon: Mobizon) -> None:
    """Any other is our own mistake."""
    send(mobizon)

    with pytest.raises(AssertionError, match="ACCEPTD is not final"):
        mobizon.deliver(mobizon.accepted[0], status="ACCEPTD")


def test_too_many_requests_to_a_method_are_code_30(now: Now) -> None:
    """With HTTP 200; each method counts for itself, and nothing is accepted."""
    mobizon = Mobizon(now, requests_per_s=1)

    assert [send(mobizon)["code"], send(mobizon)["code"]] == [0, 30]
    assert call(mobizon, "message/list")["code"] == 0
    assert len(mobizon.accepted) == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"recipient": "8 (700) 000"}, "recipient"),
        ({"text": ""}, "text"),
        ({"params[name]": "n" * 256}, "params[name]"),
        ({"params[reference]": "1"}, "params[reference]"),
        ({"reference": "1"}, "reference"),
    ],
)
def test_a_wrong_message_is_code_1_with_the_field(
    mobizon: Mobizon, changes: dict[str, str], field: str
) -> None:
    """And nothing is accepted."""
    answer = send(mobizon, **changes)

    assert (answer["code"], list(answer["data"])) == (1, [field])
    assert mobizon.accepted == []


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("/service/letter/send?apiKey=test", 4),
        ("/service/message/sendSms?apiKey=test", 5),
        ("/service/message/list?apiKey=test&output=xml", 6),
        ("/service/message/list?apiKey=other", 8),
        ("/service/message/list?apiKey=test&criteria[startSendTsFrom]=today", 12),
    ],
)
def test_wrong_use_has_mobizons_code_and_status_200(mobizon: Mobizon, url: str, code: int) -> None:
    """Module, method, format, key, date."""
    reply = Caller(mobizon).post(url, form={})

    assert (reply.status, reply.body["code"]) == (200, code)


def test_what_mobizon_has_and_the_stand_in_does_not_model_is_no_answer(mobizon: Mobizon) -> None:
    """A test must not believe it."""
    with pytest.raises(NotModelled, match="campaign/create"):
        call(mobizon, "campaign/create")
    with pytest.raises(NotModelled, match="deferred"):
        send(mobizon, **{"params[deferredToTs]": "2026-01-02 00:00:00"})
    with pytest.raises(NotModelled, match="groups"):
        call(mobizon, "message/list", {"criteria[groups]": "1"})
