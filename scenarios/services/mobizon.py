"""Mobizon: SMS without an idempotency key and without a reference of ours, and a look-up that lags behind.

What was accepted can only be found by recipient, exact text and a window of time; a text that changes with each attempt is
never found again. ``params[name]`` is kept with the campaign and can be read there (``campaign/list``), not searched for;
``message/list`` does not even show it. Errors come with HTTP 200 and a ``code``.

Shapes follow the provider's documentation (github.com/mobizon/mobizon-api-docs). Not modelled: mass campaigns, deferred
sending, background operations (code 100), time zones of accounts, short links, moderation that refuses, balances, XML. The lag of the lists is undocumented, so it is a parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from scenarios.services.deliveries import Deliveries, is_success
from scenarios.services.mobizon_parameters import MobizonError, flat_form, listed, page, unix
from scenarios.services.mobizon_reports import LADDER_S, report
from scenarios.services.plumbing import (
    Answer,
    Clock,
    NotModelled,
    RateLimit,
    Request,
    Service,
    answer_json,
)

FINAL = ("DELIVRD", "UNDELIV", "REJECTD", "EXPIRED", "DELETED")
_SEGMENT = 70  # characters of a text with Cyrillic letters in one part
_REPORT_TIMEOUT_S = 5.0
_PARAMS = {"name", "deferredToTs", "mclass", "validity", "shortenLinks"}


@dataclass(slots=True, eq=False)
class Sms:
    """A message that was accepted: the truth about SMS, whatever our tables say.

    Attributes:
        number: of the message; its campaign's is a thousand more.
        name: ``params[name]``, where a reference of ours may stand.
    """

    number: int
    recipient: str
    text: str
    sender: str
    name: str
    at: float
    status: str = "ENQUEUD"
    status_at: float = 0.0

    @property
    def campaign(self) -> int:
        """The campaign that was made for this one message."""
        return 1000 + self.number


def mobizon_error(error: MobizonError) -> Answer:
    """An error in Mobizon's shape, which is HTTP 200."""
    return answer_json({"code": error.code, "data": error.data, "message": str(error)})


class Mobizon(Service):
    """One account.

    Args:
        clock: unix seconds.
        api_key: in the query of each request.
        report_url: where delivery reports go; None: nowhere.
        report_secret: signs them.
        ladder: seconds between the tries of a report.
        lag_s: how long after it was accepted a message appears in the lists.
        requests_per_s: to one method; None: no limit.

    Attributes:
        accepted: every message that will be sent and paid for, in order.
        reports: delivery reports on their way.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        api_key: str = "test",
        report_url: str | None = None,
        report_secret: str = "",
        ladder: Sequence[float] = LADDER_S,
        lag_s: float = 0.0,
        requests_per_s: int | None = None,
    ) -> None:
        super().__init__(clock)
        self._api_key = api_key
        self._report = report_url, report_secret
        self._lag_s = lag_s
        self._rate = RateLimit(requests_per_s)
        self.accepted: list[Sms] = []
        self.reports = Deliveries(clock, ladder=ladder, counts=is_success, timeout_s=_REPORT_TIMEOUT_S)
        self._methods: dict[str, Callable[[dict[str, str]], Any]] = {
            "message/sendsmsmessage": self._send,
            "message/list": self._list,
            "message/getsmsstatus": self._status,
            "campaign/list": self._campaigns,
        }

    def named(self, name: str) -> list[Sms]:
        """What was accepted under one reference of ours."""
        return [sms for sms in self.accepted if sms.name == name]

    def deliver(self, sms: Sms, *, status: str = "DELIVRD") -> None:
        """The operator has the last word on a message; a report goes out."""
        assert status in FINAL, f"{status} is not final: {', '.join(FINAL)}"
        sms.status, sms.status_at = status, self.clock()
        url, secret = self._report
        if url is not None:
            event = {
                "campaignId": sms.campaign,
                "messageId": sms.number,
                "segNum": _segments(sms),
                "statusUpdateTs": _moment(sms.status_at),
                "status": status,
                "to": sms.recipient,
            }
            number, made = len(self.reports.all) + 1, _moment(self.clock())
            self.reports.add(
                f"{status} {sms.number}", lambda one: report(url, secret, number, made, one.attempt, event)
            )

    # The API -------------------------------------------------------------------------------------------------

    async def answer(self, request: Request) -> Answer:
        """Answers one request; every answer is HTTP 200."""
        try:
            data = self._call(request)
        except MobizonError as error:
            return mobizon_error(error)
        return answer_json({"code": 0, "data": data, "message": ""})

    def busy(self) -> Answer:
        """Code 30."""
        return mobizon_error(MobizonError(30, "Too many requests to this method: slow down"))

    def broken(self) -> Answer:
        """Code 999, "general service error"."""
        return mobizon_error(MobizonError(999, "Service error"))

    def _call(self, request: Request) -> Any:
        query = dict(request.query)
        _service, _, method = request.path.lower().strip("/").partition("/")
        if method.partition("/")[0] not in ("message", "campaign"):
            raise MobizonError(4, f"Incorrect module: {method.partition('/')[0]}")
        if method in (
            "campaign/create",
            "campaign/send",
            "campaign/addrecipients",
            "campaign/get",
            "campaign/getinfo",
        ):
            raise NotModelled(f"Mobizon has {method} and the stand-in does not model it")
        if method not in self._methods:
            raise MobizonError(5, f"Incorrect method: {method}")
        if query.pop("output", "json") != "json" or query.pop("api", "v1") != "v1":
            raise MobizonError(6, "Incorrect format: the stand-in knows output=json and api=v1")
        if query.pop("apiKey", None) != self._api_key:
            raise MobizonError(8, "Incorrect API key")
        if self._rate.exceeded(method, request.at):
            raise MobizonError(30, "Too many requests to this method: slow down")
        return self._methods[method](query | flat_form(request))

    def _send(self, asked: dict[str, str]) -> dict[str, int]:
        wrong = {}
        recipient = asked.pop("recipient", "").removeprefix("+")
        text = asked.pop("text", "")
        if not recipient.isdigit() or not 10 <= len(recipient) <= 15:
            wrong["recipient"] = "Incorrect recipient's phone number"
        if not text:
            wrong["text"] = "Message text cannot be blank"
        sender = asked.pop("from", "")
        name = asked.pop("params[name]", "")
        if len(name) > 255:
            wrong["params[name]"] = "Name is longer than 255 characters"
        for rest in asked:
            if rest.removeprefix("params[").removesuffix("]") not in _PARAMS:
                wrong[rest] = "Unknown parameter"
        if wrong:
            raise MobizonError(1, "Validation error", wrong)
        if "params[deferredToTs]" in asked or "params[shortenLinks]" in asked:
            raise NotModelled("deferred sending and short links are not modelled")
        sms = Sms(len(self.accepted) + 1, recipient, text, sender, name, self.clock(), status_at=self.clock())
        self.accepted.append(sms)
        return {"campaignId": sms.campaign, "messageId": sms.number, "status": 2}

    def _list(self, asked: dict[str, str]) -> dict[str, Any]:
        return page(self._found(asked, to="criteria[to]", since="startSendTs"), asked, self._shown)

    def _campaigns(self, asked: dict[str, str]) -> dict[str, Any]:
        found = self._found(asked, to="criteria[recipient]", since="createTs", campaign_ids="criteria[ids]")
        return page(found, asked, self._shown_campaign)

    def _found(
        self, asked: dict[str, str], *, to: str, since: str, campaign_ids: str = "criteria[campaignIds]"
    ) -> list[Sms]:
        known = {to, "criteria[text]", f"criteria[{since}From]", f"criteria[{since}To]", campaign_ids}
        known |= (
            {"criteria[campaignCreateTsFrom]", "criteria[campaignCreateTsTo]"}
            if since == "startSendTs"
            else set()
        )
        for name in asked:
            if name.startswith("criteria[name"):
                raise MobizonError(12, "A campaign's name is no search criterion")
            if name.startswith("criteria[") and name.split("][")[0].rstrip("]") + "]" not in known:
                raise NotModelled(f"{name}: a criterion that the stand-in does not model, if Mobizon has it")
        text, recipient = asked.get("criteria[text]"), asked.get(to, "")
        campaigns = listed(asked, campaign_ids)
        bounds = [(name, unix(value)) for name, value in asked.items() if name.endswith(("From]", "To]"))]
        return [
            sms
            for sms in self.accepted
            if self.clock() - sms.at >= self._lag_s
            and recipient in sms.recipient  # a part of the number finds it too
            and text in (None, sms.text)
            and (not campaigns or str(sms.campaign) in campaigns)
            and all(int(sms.at) >= at if name.endswith("From]") else int(sms.at) <= at for name, at in bounds)
        ]

    def _status(self, asked: dict[str, str]) -> list[dict[str, Any]]:
        ids = listed(asked, "ids")
        if not ids:
            raise MobizonError(2, "No message identifiers are specified")
        if len(ids) > 100:
            raise MobizonError(12, "More than 100 message identifiers are specified")
        names = "id", "status", "segNum", "startSendTs", "statusUpdateTs"
        shown = [self._shown(sms) for sms in self.accepted if str(sms.number) in ids]
        return [{name: one[name] for name in names} for one in shown]

    def _shown(self, sms: Sms) -> dict[str, Any]:
        return {
            "id": sms.number,
            "campaignId": sms.campaign,
            "segNum": _segments(sms),
            "from": sms.sender,
            "to": sms.recipient,
            "text": sms.text,
            "status": sms.status,
            "startSendTs": _moment(sms.at),
            "statusUpdateTs": _moment(sms.status_at),
        }

    def _shown_campaign(self, sms: Sms) -> dict[str, Any]:
        status = "DONE" if sms.status in FINAL else "SENT"
        shown = {"id": sms.campaign, "name": sms.name, "type": 1, "from": sms.sender, "text": sms.text}
        return shown | {"commonStatus": status, "createTs": _moment(sms.at), "startSendTs": _moment(sms.at)}


def _segments(sms: Sms) -> int:
    return -(-len(sms.text) // _SEGMENT)


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
