"""Configuration: every variable arrives where it says, secrets show nowhere, and a group is whole or not there."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING

import pytest

from reference.configuration import (
    IN_A_FILE,
    VARIABLES,
    ConfigurationError,
    Settings,
    settings_from,
)

if TYPE_CHECKING:
    from pathlib import Path

EVERYTHING = {
    "DATABASE_URL": "postgresql://shop:pw-of-the-database@db.example/shop",
    "POOL_SIZE": "9",
    "BIND": "[::1]:8080",
    "GRACE_S": "12.5",
    "WORKER_TASKS": "3",
    "LOG_LEVEL": "warning",
    "RETURN_URL": "https://shop.example.com/thanks",
    "ALERTS_CHAT": "-100123",
    "LEAD_DELAY_S": "60",
    "CALL_ATTEMPT_S": "3",
    "CALL_S": "7",
    "BOT_TOKEN": "token-of-the-bot-0001",
    "ADMIN_TOKEN": "token-of-the-staff-0001",
    "CRM_TOKEN": "token-of-the-crm-0001",
    "METRICS_TOKEN": "token-of-the-scraper-0001",
    "TRUSTED_PROXIES": "10.0.0.0/8, ::1",
    "BODY_MAX_BYTES": "2048",
    "YOOKASSA_NETWORKS": "192.0.2.0/24",
    "STRIPE_TOLERANCE_S": "100",
    "YOOKASSA_SHOP_ID": "100500",
    "YOOKASSA_SECRET_KEY": "key-of-yookassa",
    "YOOKASSA_URL": "http://127.0.0.1:1/",
    "PLATEGA_MERCHANT_ID": "merchant",
    "PLATEGA_SECRET": "secret-of-platega",
    "PLATEGA_URL": "http://127.0.0.1:2",
    "STRIPE_API_KEY": "key-of-stripe",
    "STRIPE_WEBHOOK_SECRETS": "whsec_one,whsec_two",
    "STRIPE_URL": "http://127.0.0.1:3",
    "MOBIZON_API_KEY": "key-of-mobizon",
    "MOBIZON_SENDER": "Shop",
    "MOBIZON_UTC_OFFSET_S": "18000",
    "MOBIZON_REPORT_SECRET": "secret-of-mobizon",
    "MOBIZON_URL": "http://127.0.0.1:4",
    "RESEND_API_KEY": "key-of-resend",
    "RESEND_SENDER": "shop@example.com",
    "RESEND_URL": "http://127.0.0.1:5",
    "TELEGRAM_TOKEN": "1:token-of-telegram",
    "TELEGRAM_URL": "http://127.0.0.1:6",
    "KEY_SERVERS": "nl-1=https://nl-1.example, de-1=https://de-1.example",
    "KEY_SERVERS_TOKEN": "token-of-the-servers",
}


def read(**variables: str) -> Settings:
    return settings_from({f"REFERENCE_{name}": value for name, value in variables.items()})


def value_at(settings: Settings, path: str) -> object:
    """Where a variable says that it goes."""
    group, _, name = path.partition(".")
    if group == "process":
        return getattr(settings, name)
    if group == "http":
        return getattr(settings.http, name)
    if group == "servers":
        found = settings.clients.key_servers
        return {each: (server.base_url if name == "urls" else server.token) for each, server in found.items()}
    return getattr(getattr(settings.clients, group), name)


def test_every_variable_arrives_where_it_says() -> None:
    """The test names them all, so a new variable has to be named here too."""
    settings = read(**EVERYTHING)

    assert list(EVERYTHING) == [variable.name for variable in VARIABLES]
    defaults = settings_from({})
    for variable in VARIABLES:
        found = value_at(settings, variable.goes_to)
        assert found not in (None, "", {}), variable.name
        group = variable.goes_to.split(".")[0]
        if group in ("process", "http", "patience"):
            assert found != value_at(defaults, variable.goes_to), variable.name
    assert settings.bind == "[::1]:8080"
    assert settings.http.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("::1/128"))
    assert settings.http.stripe_secrets == ("whsec_one", "whsec_two")
    assert settings.http.platega_secret == "secret-of-platega"
    assert (settings.clients.patience.attempt_s, settings.clients.patience.total_s) == (3.0, 7.0)
    assert settings.clients.key_servers["de-1"].base_url == "https://de-1.example"


def test_no_secret_shows_in_a_repr() -> None:
    """Settings end up in tracebacks and in logs of those who debug."""
    shown = repr(read(**EVERYTHING))
    secret = [variable.name for variable in VARIABLES if variable.secret]

    assert [name for name in secret for part in EVERYTHING[name].split(",") if part in shown] == []
    assert "pw-of-the-database" not in shown


def test_nothing_at_all_is_a_service_without_clients() -> None:
    """The embedded default: a file, no provider, no secret, and so no route that needs one."""
    settings = settings_from({})

    assert settings.database_url == "sqlite:///reference.db"
    assert settings.clients.yookassa is None
    assert settings.http.admin_token == ""


def test_a_secret_may_be_in_a_file(tmp_path: Path) -> None:
    """As orchestrators mount them, with a newline at the end."""
    path = tmp_path / "token"
    path.write_text("token-of-the-staff-0001\n", encoding="utf-8")

    assert read(**{f"ADMIN_TOKEN{IN_A_FILE}": str(path)}).http.admin_token == "token-of-the-staff-0001"


def test_a_secret_in_two_places_or_in_none_is_said(tmp_path: Path) -> None:
    """Which of two counts would be a guess."""
    path = tmp_path / "token"
    path.write_text("token-of-the-staff-0001", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="are both set; keep one"):
        read(**{"ADMIN_TOKEN": "token-of-the-staff-0002", f"ADMIN_TOKEN{IN_A_FILE}": str(path)})
    with pytest.raises(
        ConfigurationError, match="REFERENCE_ADMIN_TOKEN_FILE: cannot be read: FileNotFoundError"
    ):
        read(**{f"ADMIN_TOKEN{IN_A_FILE}": str(tmp_path / "nowhere")})


def test_an_empty_variable_is_not_set() -> None:
    """That is how a compose file says "none"."""
    assert read(YOOKASSA_SHOP_ID="", POOL_SIZE="").clients.yookassa is None


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("DATABASE_URL", "mysql://x/y", "begins with sqlite:// or postgresql://"),
        ("DATABASE_URL", "sqlite://", "expected a file"),
        ("DATABASE_URL", "not a url", "expected a URL such as"),
        ("BIND", "8000", "expected host:port"),
        ("BIND", "fd://x", "expected host:port"),
        ("BIND", "127.0.0.1:99999", "expected host:port"),
        ("GRACE_S", "-1", "expected a number from 0 to 3600"),
        ("LOG_LEVEL", "loud", "expected one of DEBUG, INFO"),
        ("TRUSTED_PROXIES", "10.0.0.0/33", "expected addresses or networks"),
        ("CRM_TOKEN", "short", "expected at least 16 characters"),
        ("KEY_SERVERS", "https://nl-1.example", "expected id=url"),
        ("CALL_S", "25", "expected a number from 0.1 to 20"),
    ],
)
def test_a_wrong_value_is_told_what_was_expected(name: str, value: str, expected: str) -> None:
    """By name, and never by value."""
    with pytest.raises(ConfigurationError) as refused:
        read(**{name: value})

    assert f"REFERENCE_{name}" in str(refused.value)
    assert expected in str(refused.value)


def test_a_provider_is_whole_or_not_there() -> None:
    """One variable of a group asks for the others."""
    with pytest.raises(ConfigurationError) as refused:
        read(RESEND_URL="https://resend.example", YOOKASSA_SHOP_ID="100500")

    assert [problem.split(" ")[0] for problem in refused.value.problems] == [
        "REFERENCE_YOOKASSA_SECRET_KEY",
        "REFERENCE_RESEND_API_KEY",
        "REFERENCE_RESEND_SENDER",
    ]
