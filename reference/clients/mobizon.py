"""Mobizon's SMS: sent once, because every call that is taken is an SMS, and found again by number, window and exact text.

Every answer is HTTP 200 with a code of its own in it:

=========================  =============================================================================================
code                       means
=========================  =============================================================================================
0                          taken
1, 2, 11, 12               RefusedError: the request is wrong and stays wrong
4, 5, 6, 8, 9, 13, 14      UnauthorizedError: the address, the key or the account; nothing was taken
30                         LaterError: too many requests, nothing was taken
3, 10, 15, 98, 99, 100,    AmbiguousError: "unidentified", "on saving", "of an operation" and whatever Mobizon will think of
999, others                next may be said before or after it has taken the message
=========================  =============================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from reference.clients.errors import UnauthorizedError, of_status
from reference.clients.http import Question, Reply, Wire, as_form, word
from reference.clients.settings import MobizonAccount, Patience
from reference.ports import AmbiguousError, LaterError, RefusedError, RemoteError, SmsReceipt, SmsRecord

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

_KINDS: Mapping[int, type[RemoteError]] = {
    **dict.fromkeys((1, 2, 11, 12), RefusedError),
    **dict.fromkeys((4, 5, 6, 8, 9, 13, 14), UnauthorizedError),
    30: LaterError,
}
_PAGE = 100  # the largest that there is
_PAGES_MAX = 20  # of one number, within the hours of one look-up: more is no answer


class MobizonSms:
    """`reference.ports.SmsGateway` at Mobizon."""

    def __init__(self, account: MobizonAccount, http: httpx.AsyncClient, *, patience: Patience) -> None:
        self._sender = account.sender
        self._utc_offset_s = account.utc_offset_s
        self._query = {"output": "json", "api": "v1", "apiKey": account.api_key}
        self._wire = Wire(
            "mobizon",
            http,
            base_url=account.base_url,
            judge=_judge,
            patience=patience,
            secrets=(account.api_key,),
        )

    def __repr__(self) -> str:
        return f"MobizonSms({self._wire!r})"

    async def send(self, recipient: str, text: str, reference: str) -> SmsReceipt:
        """See `SmsGateway.send`."""
        form = {"recipient": recipient, "text": text, "params[name]": reference}
        if self._sender:
            form["from"] = self._sender
        return await self._ask("message/sendSmsMessage", form, _receipt, repeatable=False)

    async def find(self, recipient: str, text: str, since: int, until: int) -> list[SmsRecord]:
        """See `SmsGateway.find`.

        Two lists are read: of messages, which have no place for our reference, and of the campaigns they belong to, which have.
        A campaign that is not listed (yet) leaves its message without a reference.
        """
        criteria = {
            "criteria[to]": recipient,
            "criteria[text]": text,
            "criteria[startSendTsFrom]": self._written(since),
            "criteria[startSendTsTo]": self._written(until),
        }
        found = await self._all_of("message/list", criteria, self._message)
        campaigns = list(dict.fromkeys(campaign for campaign, _ in found))
        names: dict[str, str | None] = {}
        if campaigns:
            asked = {"criteria[ids]": ",".join(campaigns)}
            names = dict(await self._all_of("campaign/list", asked, _campaign))
        # By id: a message that comes while pages are read moves those before it to the next page.
        records = {
            record.message_id: replace(record, reference=names.get(campaign)) for campaign, record in found
        }
        return list(records.values())

    async def _all_of(
        self, method: str, criteria: Mapping[str, str], read: Callable[[Mapping[str, Any]], T]
    ) -> list[T]:
        def read_page(reply: Reply) -> tuple[list[T], int]:
            data = reply.body["data"]
            return [read(one) for one in data["items"]], int(data["totalItemCount"])

        found: list[T] = []
        for number in range(_PAGES_MAX):
            paging = {"pagination[pageSize]": str(_PAGE), "pagination[currentPage]": str(number)}
            items, total = await self._ask(method, {**criteria, **paging}, read_page, repeatable=True)
            found += items
            if len(found) >= total or not items:
                return found
        raise AmbiguousError(f"mobizon {method}: more than {_PAGES_MAX} pages of {_PAGE} for one look-up")

    async def _ask(
        self, method: str, form: Mapping[str, str], read: Callable[[Reply], T], *, repeatable: bool
    ) -> T:
        body, headers = as_form(form)
        question = Question(
            "POST", f"/service/{method}", repeatable, query=self._query, headers=headers, body=body
        )
        return await self._wire.ask(question, read)

    def _message(self, one: Mapping[str, Any]) -> tuple[str, SmsRecord]:
        at = self._read_moment(one["startSendTs"])
        return word(one["campaignId"]), SmsRecord(
            word(one["id"]), word(one["to"]), word(one["text"]), None, at
        )

    def _written(self, at: int) -> str:
        return datetime.fromtimestamp(at + self._utc_offset_s, UTC).strftime("%Y-%m-%d %H:%M:%S")

    def _read_moment(self, text: str) -> int:
        moment = datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
        return int(moment.timestamp()) - self._utc_offset_s


def _judge(reply: Reply) -> RemoteError | None:
    code = reply.fields.get("code")
    if reply.status != 200 or not isinstance(code, int):
        return of_status(reply.status, None, retry_after_s=reply.retry_after_s()) or AmbiguousError(
            "no code in the answer"
        )
    if code == 0:
        return None
    data = reply.fields.get("data")
    fields = f" ({', '.join(str(name) for name in data)})" if isinstance(data, Mapping) and data else ""
    words = f"code {code} {reply.fields.get('message', '')}{fields}"
    return _KINDS.get(code, AmbiguousError)(words, code=str(code))


def _receipt(reply: Reply) -> SmsReceipt:
    return SmsReceipt(word(reply.body["data"]["messageId"]))


def _campaign(one: Mapping[str, Any]) -> tuple[str, str | None]:
    return word(one["id"]), str(one["name"]) if one.get("name") else None
