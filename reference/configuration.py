"""Configuration by environment, as a table: each variable says what it is for, how it is read and where it goes.

`reference --help`, docs/operations.md and the tests read the same table. Everything that is missing or wrong is said at once, by name and
never by value: a value may be a secret in the wrong variable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from reference.clients.settings import (
    ClientSettings,
    KeyServer,
    MobizonAccount,
    Patience,
    PlategaAccount,
    ResendAccount,
    StripeAccount,
    TelegramBot,
    YooKassaAccount,
)
from reference.flows.messages_rules import SEND_AFTER_S
from reference.http.settings import YOOKASSA_NETWORKS, HttpSettings, Network

PREFIX = "REFERENCE_"


class ConfigurationError(Exception):
    """Something in the environment is missing or wrong; the message has a line for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a process of the service is told.

    Args:
        database_url: SQLAlchemy's, with or without the driver.
        pool_size: connections per process.
        bind: where `serve` listens, ``host:port``; or ``fd://N``, a listening socket that whoever started it has opened, so that several
            processes share it and a deploy loses no connection.
        grace_s: how long a process that is told to stop may go on with what it has in hand.
        worker_tasks: how many jobs of one kind a worker does at a time.
        return_url: where a customer lands after paying for a deal.
        alerts_chat: the staff's chat.
        lead_delay_s: from a form to its messages.
        log_level: of Python's `logging`.
        http: the door's.
        clients: the providers'.
    """

    database_url: str = field(repr=False)  # may hold a password
    pool_size: int = 5
    bind: str = "127.0.0.1:8000"
    grace_s: float = 25.0
    worker_tasks: int = 4
    return_url: str = "https://shop.example/thanks"
    alerts_chat: int | None = None
    lead_delay_s: int = SEND_AFTER_S
    log_level: str = "INFO"
    http: HttpSettings = field(default_factory=HttpSettings)
    clients: ClientSettings = field(default_factory=ClientSettings)


Read = Callable[[str], Any]


def _text(value: str) -> str:
    return value


def _database(value: str) -> str:
    try:
        url = make_url(value)
    except ArgumentError:
        raise ValueError("expected a URL such as sqlite:///shop.db or postgresql://user@host/shop") from None
    if url.get_backend_name() not in ("sqlite", "postgresql", "postgres"):
        raise ValueError("expected a URL that begins with sqlite:// or postgresql://")
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise ValueError(
            "expected a file, as in sqlite:///shop.db: each connection to :memory: is a database of its own"
        )
    return value


def _web(value: str) -> str:
    url = urlsplit(value)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError("expected a URL that begins with https:// (or http:// for a stand-in)")
    return value.rstrip("/")


def _bind(value: str) -> str:
    if value.startswith("fd://") and value[5:].isdigit():
        return value
    host, _, port = value.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65_536:
        raise ValueError("expected host:port, as in 127.0.0.1:8000, or fd://N")
    return value


def _number(low: float, high: float, kind: type[int] | type[float] = int) -> Read:
    def read(value: str) -> Any:
        try:
            number = kind(value)
        except ValueError:
            raise ValueError(f"expected a number from {low:g} to {high:g}") from None
        if not low <= number <= high:
            raise ValueError(f"expected a number from {low:g} to {high:g}")
        return number

    return read


def _level(value: str) -> str:
    levels = ("DEBUG", "INFO", "WARNING", "ERROR")
    if value.upper() not in levels:
        raise ValueError(f"expected one of {', '.join(levels)}")
    return value.upper()


def _listed(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _networks(value: str) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(part) for part in _listed(value))
    except ValueError:
        raise ValueError("expected addresses or networks with commas between, as in 10.0.0.0/8,::1") from None


def _secret(value: str) -> str:
    if len(value) < SECRET_MIN:
        raise ValueError(f"expected at least {SECRET_MIN} characters; make one with: openssl rand -hex 32")
    return value


def _servers(value: str) -> dict[str, str]:
    found = {}
    for part in _listed(value):
        name, sign, url = part.partition("=")
        if not (name.strip() and sign):
            raise ValueError("expected id=url with commas between, as in nl-1=https://nl-1.example")
        found[name.strip()] = _web(url.strip())
    return found


def _url_of(account: type[Any]) -> str:
    """The real API, which is a client's business to know."""
    return str(account.__dataclass_fields__["base_url"].default)


SECRET_MIN = 16  # characters of a token that we make ourselves; those that providers make are theirs to judge


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable of the environment.

    Args:
        name: without `PREFIX`.
        goes_to: the setting, as ``group.field``; a group is there when one of its variables is set.
        what: one line for a person.
        read: turns the text into a value, or raises `ValueError` with what was expected.
        default: as a person would write it; shown, and read like any other. None: there is none.
        required: whether the group cannot do without it.
        secret: never shown, and better given in a file: see `IN_A_FILE`.
    """

    name: str
    goes_to: str
    what: str
    read: Read = _text
    default: str | None = None
    required: bool = False
    secret: bool = False

    @property
    def full_name(self) -> str:
        """As it stands in the environment."""
        return PREFIX + self.name


IN_A_FILE = "_FILE"
# NAME_FILE names a file that holds the value, as orchestrators mount secrets: an environment is inherited and printed.

VARIABLES: tuple[Variable, ...] = (
    Variable("DATABASE_URL", "process.database_url", "SQLite file or PostgreSQL database", _database,
             "sqlite:///reference.db", secret=True),
    Variable("POOL_SIZE", "process.pool_size", "connections to the database, per process", _number(1, 100), "5"),
    Variable("BIND", "process.bind", "where serve listens: host:port, or fd://N for a socket that it is handed", _bind,
             "127.0.0.1:8000"),
    Variable("GRACE_S", "process.grace_s", "seconds to finish what is in hand when told to stop",
             _number(0, 3600, float), "25"),
    Variable("WORKER_TASKS", "process.worker_tasks", "jobs of one kind that a worker does at a time",
             _number(1, 64), "4"),
    Variable("LOG_LEVEL", "process.log_level", "DEBUG, INFO, WARNING or ERROR", _level, "INFO"),
    Variable("RETURN_URL", "process.return_url", "where a customer lands after paying for a deal", _web,
             "https://shop.example/thanks"),
    Variable("ALERTS_CHAT", "process.alerts_chat", "the staff's Telegram chat, for alerts", _number(-(2**63), 2**63)),
    Variable("LEAD_DELAY_S", "process.lead_delay_s", "seconds from a lead's form to its messages",
             _number(0, 86_400), str(SEND_AFTER_S)),
    Variable("CALL_ATTEMPT_S", "patience.attempt_s", "for one request to a provider", _number(0.1, 60, float), "10"),
    Variable("CALL_S", "patience.total_s", "for a call with all of its attempts; leases are made for at most 20",
             _number(0.1, 20, float), "18"),
    Variable("BOT_TOKEN", "http.bot_token", "bearer token of the bot, which sells", _secret, secret=True),
    Variable("ADMIN_TOKEN", "http.admin_token", "bearer token of the staff", _secret, secret=True),
    Variable("CRM_TOKEN", "http.crm_token", "bearer token of the CRM", _secret, secret=True),
    Variable("METRICS_TOKEN", "http.metrics_token", "bearer token for /metrics; without it anybody who gets there",
             _secret, secret=True),
    Variable("TRUSTED_PROXIES", "http.trusted_proxies", "whose X-Forwarded-For is believed", _networks),
    Variable("BODY_MAX_BYTES", "http.body_max_bytes", "longer bodies are refused", _number(1024, 2**24), "262144"),
    Variable("YOOKASSA_NETWORKS", "http.yookassa_networks", "from where YooKassa's notifications come", _networks,
             ",".join(str(each) for each in YOOKASSA_NETWORKS)),
    Variable("STRIPE_TOLERANCE_S", "http.stripe_tolerance_s", "by how much a signature's moment may differ",
             _number(1, 86_400), "300"),
    Variable("YOOKASSA_SHOP_ID", "yookassa.shop_id", "the shop at YooKassa", required=True),
    Variable("YOOKASSA_SECRET_KEY", "yookassa.secret_key", "its key", required=True, secret=True),
    Variable("YOOKASSA_URL", "yookassa.base_url", "the API", _web, _url_of(YooKassaAccount)),
    Variable("PLATEGA_MERCHANT_ID", "platega.merchant_id", "the merchant at Platega", required=True),
    Variable("PLATEGA_SECRET", "platega.secret", "its secret, in both directions", required=True, secret=True),
    Variable("PLATEGA_URL", "platega.base_url", "the API", _web, _url_of(PlategaAccount)),
    Variable("STRIPE_API_KEY", "stripe.api_key", "Stripe's key, restricted ones will do", required=True, secret=True),
    Variable("STRIPE_WEBHOOK_SECRETS", "http.stripe_secrets", "whsec_..., two with a comma while one replaces the other",
             _listed, secret=True),
    Variable("STRIPE_URL", "stripe.base_url", "the API", _web, _url_of(StripeAccount)),
    Variable("MOBIZON_API_KEY", "mobizon.api_key", "Mobizon's key", required=True, secret=True),
    Variable("MOBIZON_SENDER", "mobizon.sender", "what recipients see as the sender"),
    Variable("MOBIZON_UTC_OFFSET_S", "mobizon.utc_offset_s", "of the times in Mobizon's lists",
             _number(-50_400, 50_400), "0"),
    Variable("MOBIZON_REPORT_SECRET", "http.mobizon_secret", "signs Mobizon's delivery reports", secret=True),
    Variable("MOBIZON_URL", "mobizon.base_url", "the API", _web, _url_of(MobizonAccount)),
    Variable("RESEND_API_KEY", "resend.api_key", "Resend's key", required=True, secret=True),
    Variable("RESEND_SENDER", "resend.sender", "the From: of mails", required=True),
    Variable("RESEND_URL", "resend.base_url", "the API", _web, _url_of(ResendAccount)),
    Variable("TELEGRAM_TOKEN", "telegram.token", "the bot's token at Telegram", required=True, secret=True),
    Variable("TELEGRAM_URL", "telegram.base_url", "the API", _web, _url_of(TelegramBot)),
    Variable("KEY_SERVERS", "servers.urls", "V2Ray servers: id=url, with commas between", _servers, required=True),
    Variable("KEY_SERVERS_TOKEN", "servers.token", "bearer token at all of them", required=True, secret=True),
)  # fmt: skip

_ACCOUNTS: Mapping[str, Callable[..., Any]] = {
    "yookassa": YooKassaAccount,
    "platega": PlategaAccount,
    "stripe": StripeAccount,
    "mobizon": MobizonAccount,
    "resend": ResendAccount,
    "telegram": TelegramBot,
}


def settings_from(environment: Mapping[str, str]) -> Settings:
    """Read the environment.

    Args:
        environment: `os.environ`, or a test's.

    Raises:
        ConfigurationError: with everything that is missing or wrong, and every variable with our prefix that we do not know.
    """
    problems: list[str] = list(_unknown(environment))
    groups: dict[str, dict[str, Any]] = {}
    given: set[str] = set()
    for variable in VARIABLES:
        group, _, name = variable.goes_to.partition(".")
        text = _text_of(variable, environment, problems)
        if text:
            given.add(group)
        if (text or variable.default) is None:
            continue
        try:
            groups.setdefault(group, {})[name] = variable.read(text or str(variable.default))
        except ValueError as wrong:
            problems.append(f"{variable.full_name}: {wrong}")
    for variable in VARIABLES:
        group, _, name = variable.goes_to.partition(".")
        if variable.required and group in given and not _was_given(variable, environment):
            problems.append(
                f"{variable.full_name} is missing: {variable.what}; the others of its kind are set"
            )
    patience = Patience()
    if not problems:
        try:
            patience = _patience(**groups["patience"])
        except ValueError as wrong:
            problems.append(f"{PREFIX}CALL_ATTEMPT_S and {PREFIX}CALL_S: {wrong}")
    if problems:
        raise ConfigurationError(problems)
    accounts = {name: make(**groups[name]) for name, make in _ACCOUNTS.items() if name in given}
    servers = groups.get("servers", {}).get("urls", {})
    key_servers = {
        name: KeyServer(base_url=url, token=groups["servers"]["token"]) for name, url in servers.items()
    }
    door = dict(groups.get("http", {}))
    if "platega" in accounts:  # the callback carries the same two
        door |= {
            "platega_merchant_id": accounts["platega"].merchant_id,
            "platega_secret": accounts["platega"].secret,
        }
    clients = ClientSettings(**accounts, key_servers=key_servers, patience=patience)
    return Settings(**groups["process"], http=HttpSettings(**door), clients=clients)


def _patience(attempt_s: float, total_s: float) -> Patience:
    return Patience(connect_s=min(Patience().connect_s, attempt_s), attempt_s=attempt_s, total_s=total_s)


def _was_given(variable: Variable, environment: Mapping[str, str]) -> bool:
    return bool(environment.get(variable.full_name) or environment.get(f"{variable.full_name}{IN_A_FILE}"))


def _text_of(variable: Variable, environment: Mapping[str, str], problems: list[str]) -> str | None:
    """The variable's text; an empty one is none, because that is how a compose file says "not set"."""
    file_name = f"{variable.full_name}{IN_A_FILE}"
    text, path = environment.get(variable.full_name), environment.get(file_name)
    if not variable.secret or not path:
        return text or None
    if text:
        problems.append(
            f"{variable.full_name} and {file_name} are both set; keep one, so that it is clear which one counts"
        )
        return None
    try:
        with open(path, encoding="utf-8") as secret:
            return secret.read().strip() or None
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{file_name}: cannot be read: {type(error).__name__}")
        return None


def _unknown(environment: Mapping[str, str]) -> Iterator[str]:
    """A misspelt name would otherwise be a default that nobody chose."""
    known = {variable.full_name for variable in VARIABLES}
    known |= {f"{variable.full_name}{IN_A_FILE}" for variable in VARIABLES if variable.secret}
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in known:
            yield f"{name} is not known; reference --help lists what is"
