"""Settings: parsing, defaults and validation. Messages never contain values."""

from __future__ import annotations

import pytest

from gateway.errors import SettingsInvalidError
from gateway.settings import ApiSettings, ExecutorSettings, LocalSettings

COMPLETE = {
    "TABLE_NAME": "t",
    "BUCKET_NAME": "b",
    "EVENT_BUS_NAME": "e",
    "HIGH_QUEUE_URL": "http://q/high",
    "NORMAL_QUEUE_URL": "http://q/normal",
    "LOW_QUEUE_URL": "http://q/low",
    "WEBHOOK_QUEUE_URL": "http://q/webhooks",
}


def test_unset_settings_have_defaults() -> None:
    """Only the names of AWS resources are required."""
    settings = ApiSettings.from_environment(COMPLETE)
    assert (settings.table_name, settings.open_access, settings.max_image_size) == ("t", False, 2048)
    assert (settings.max_batch_size, settings.retention_days, settings.download_url_seconds) == (8, 30, 3600)


def test_an_empty_variable_counts_as_not_set() -> None:
    """`FOO=` in a shell or a template means the default."""
    assert ApiSettings.from_environment({**COMPLETE, "MAX_IMAGE_SIZE": "", "OPEN_ACCESS": ""}).max_image_size == 2048


def test_text_is_parsed_as_the_type_of_the_setting() -> None:
    """Environment variables are text, also for numbers and booleans."""
    settings = ApiSettings.from_environment({**COMPLETE, "MAX_IMAGE_SIZE": "4096", "OPEN_ACCESS": "true"})
    assert (settings.max_image_size, settings.open_access) == (4096, True)


def test_other_variables_are_ignored() -> None:
    """Names are case-sensitive, too."""
    assert ApiSettings.from_environment({**COMPLETE, "PATH": "/bin", "table_name": "other"}).table_name == "t"


def test_one_line_names_every_invalid_variable() -> None:
    """Missing and invalid ones are reported together."""
    environment = {**COMPLETE, "MAX_IMAGE_SIZE": "huge", "RETENTION_DAYS": "0", "LOG_LEVEL": "loud"}
    del environment["TABLE_NAME"]
    with pytest.raises(SettingsInvalidError) as caught:
        ApiSettings.from_environment(environment)
    assert "\n" not in caught.value.message
    assert all(
        f"{name}: " in caught.value.message for name in ("TABLE_NAME", "MAX_IMAGE_SIZE", "RETENTION_DAYS", "LOG_LEVEL")
    )


INVALID = "s3cret"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_ATTEMPTS", INVALID),
        ("LOG_LEVEL", INVALID),
        ("SHUTDOWN_GRACE_SECONDS", INVALID),
        ("COMFYUI_URL", INVALID),
        ("COMFYUI_URL", f"ftp://user:{INVALID}@host/"),
        ("COMFYUI_URL", f"http://host:{INVALID}"),
        ("COMFYUI_URL", f"http://user:{INVALID}@host:99999"),
        ("COMFYUI_URL", f"http://[{INVALID}"),
        ("COMFYUI_URL", f"http://{INVALID}\u2100host"),
    ],
)
def test_an_invalid_value_is_never_shown(name: str, value: str) -> None:
    """A setting can be or contain a secret: neither the message nor its traceback contains the value."""
    with pytest.raises(SettingsInvalidError) as caught:
        ExecutorSettings.from_environment({**COMPLETE, name: value})
    assert caught.value.message.startswith(f"{name}: ")
    assert INVALID not in caught.value.message
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("*", ("*",)),
        (" https://a.example , http://localhost:5173,", ("https://a.example", "http://localhost:5173")),
        ("HTTPS://A.example", ("https://a.example",)),
        ("http://[::1]:3000", ("http://[::1]:3000",)),
        ("", ()),
    ],
)
def test_origins_are_separated_by_commas(text: str, origins: tuple[str, ...]) -> None:
    """They are normalized to the form that browsers send."""
    assert ApiSettings.from_environment({**COMPLETE, "CORS_ORIGINS": text}).cors_origins == origins


@pytest.mark.parametrize(
    "text",
    ["https://a.example/", "a.example", "https://a.example/path", "*.example.com", "https://*.example.com", "null",
     "*,https://a.example", "https://a.example https://b.example", "ftp://a.example", "https://u:p@a.example"],
)  # fmt: skip
def test_malformed_origins_are_rejected(text: str) -> None:
    """An origin that could never match, or would match too much, prevents the start."""
    with pytest.raises(SettingsInvalidError) as caught:
        ApiSettings.from_environment({**COMPLETE, "CORS_ORIGINS": text})
    assert caught.value.message.startswith("CORS_ORIGINS: ")


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("WEBHOOK_SECRET", INVALID, "24 bytes"),
        ("WEBHOOK_SECRET", f"whsec_{INVALID}", "base64"),
        ("WEBHOOK_SECRET", "whsec_czNjcmV0", "24 bytes"),
        ("WEBHOOK_SECRET_PREVIOUS", INVALID * 5, "WEBHOOK_SECRET"),
        ("WEBHOOK_SECRET_RENEWALS", INVALID, "owners"),
        ("WEBHOOK_SECRET_RENEWALS", f"{INVALID}:0", "owners"),
        ("WEBHOOK_SECRET_RENEWALS", f"{INVALID}:1,{INVALID}:2", "owners"),
        ("WEBHOOK_SECRET_RENEWALS", f"{INVALID}:1", "WEBHOOK_SECRET_PER_OWNER"),
        ("WEBHOOK_ALLOWED_DOMAINS", f"https://{INVALID}.example", "*"),
        ("WEBHOOK_ALLOWED_DOMAINS", f"*{INVALID}.example", "*"),
        ("WEBHOOK_ALLOWED_DOMAINS", ",", "*"),
    ],
)
def test_invalid_webhook_settings_are_rejected(name: str, value: str, named: str) -> None:
    """A secret that could be guessed, or a domain that would never match, prevents the start, and is not shown."""
    with pytest.raises(SettingsInvalidError) as caught:
        ApiSettings.from_environment({**COMPLETE, name: value})
    assert caught.value.message.startswith(f"{name}: ")
    assert named in caught.value.message.removeprefix(f"{name}: ")
    assert INVALID not in caught.value.message


def test_allowed_domains_are_separated_by_commas() -> None:
    """They are converted to lower case. The default is all domains."""
    given = {**COMPLETE, "WEBHOOK_ALLOWED_DOMAINS": " Hooks.Example.com , *.partner.example"}
    assert ApiSettings.from_environment(given).webhook_allowed_domains == ("hooks.example.com", "*.partner.example")
    assert ApiSettings.from_environment(COMPLETE).webhook_allowed_domains == ("*",)


@pytest.mark.parametrize("level", ["info", "Warn", "WARNING", "debug"])
def test_log_levels_are_case_insensitive(level: str) -> None:
    """Both WARN and WARNING are accepted."""
    assert ExecutorSettings.from_environment({**COMPLETE, "LOG_LEVEL": level}).log_level == level.upper()


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"S3_ENDPOINT": "http://store:9000"}, "S3_BUCKET: "),
        ({"S3_BUCKET": "b", "S3_SECRET_KEY": INVALID}, "S3_SECRET_KEY: "),
        ({"S3_BUCKET": "b", "S3_ACCESS_KEY": INVALID}, "S3_SECRET_KEY: "),
        ({"S3_BUCKET": f"{INVALID}/b"}, "S3_BUCKET: "),
        ({"S3_REGION": f"{INVALID} here"}, "S3_REGION: "),
    ],
)
def test_incomplete_storage_settings_are_rejected(given: dict[str, str], named: str) -> None:
    """An endpoint requires a bucket, and an access key requires its secret key."""
    with pytest.raises(SettingsInvalidError) as caught:
        ApiSettings.from_environment({**COMPLETE, **given})
    assert caught.value.message.startswith(named)
    assert INVALID not in caught.value.message


def test_a_short_jwt_secret_is_rejected() -> None:
    """The minimum is 32 bytes. Neither messages nor the settings' representation contain it."""
    with pytest.raises(SettingsInvalidError) as caught:
        ApiSettings.from_environment({**COMPLETE, "JWT_SECRET": INVALID * 5})
    assert caught.value.message.startswith("JWT_SECRET: ")
    assert "32 bytes" in caught.value.message
    assert INVALID not in caught.value.message
    valid = ApiSettings.from_environment({**COMPLETE, "JWT_SECRET": "é" * 16})
    assert "é" not in repr(valid)


@pytest.mark.parametrize("port", ["abc", "0", "65536", "-1", "8 0", "1.5"])
def test_a_port_is_a_number(port: str) -> None:
    """The message contains the limits."""
    with pytest.raises(SettingsInvalidError) as caught:
        LocalSettings.from_environment({"PORT": port})
    assert caught.value.message.startswith("PORT: ")
    assert "65535" in caught.value.message


def test_the_trailing_slash_of_a_url_is_removed() -> None:
    """Paths are appended to it."""
    assert LocalSettings.from_environment({"COMFYUI_URL": "https://gpu.example:8188/"}).comfyui_url == (
        "https://gpu.example:8188"
    )


@pytest.mark.parametrize(
    "address",
    [
        "http://a-b.c_d.example:1/path",
        "HTTP://GPU",
        "https://gpu.example.:65535",
        "http://[::1]:8188",
        "http://10.0.0.1",
    ],
)
def test_valid_urls_are_accepted(address: str) -> None:
    """Host names, names of containers, IPv4 and IPv6 addresses, with or without port and path."""
    assert LocalSettings.from_environment({"COMFYUI_URL": address}).comfyui_url == address


@pytest.mark.parametrize(
    "address",
    [
        "http://x..y", "http://.x", f"http://{'x' * 64}", f"http://{'x' * 60}{'.xxxxxxxxx' * 24}", "http://-",
        "http://x-", "http:// x", "http://a b/", "http://a/b c", "http://x\ny", "http://x\n", " http://x", "http://x\0",
        "http://", "http:///x", "http://x:", "http://x:0", "http://x:65536", "http://x/?x=1", "http://x?x=1", "http://x#y",
        "http://x/#y", "http://[::1", "http://[1:2]", "http://[]", "http://[x]", "http://b\u00fccher.example",
        "http://user:pw@x", "http://user@x", "http://x@[::1]/",
    ],
)  # fmt: skip
def test_invalid_urls_are_rejected(address: str) -> None:
    """In one line, before any connection. A URL with a password is rejected because URLs are logged."""
    with pytest.raises(SettingsInvalidError) as caught:
        LocalSettings.from_environment({"COMFYUI_URL": address})
    assert caught.value.message.startswith("COMFYUI_URL: ")
    assert ("password" in caught.value.message) == ("@" in address)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("host", "given", "names"),
    [
        (
            ExecutorSettings,
            {"COMFYUI_TIMEOUT_MS": "7200000", "COMFYUI_QUEUE_TIMEOUT_MS": "7000000"},
            ("COMFYUI_QUEUE_TIMEOUT_MS", "COMFYUI_TIMEOUT_MS"),
        ),
        (
            ExecutorSettings,
            {"MAX_CONCURRENCY": "8", "COMFYUI_QUEUE_TIMEOUT_MS": "600000"},
            ("COMFYUI_QUEUE_TIMEOUT_MS", "MAX_CONCURRENCY"),
        ),
        (
            ExecutorSettings,
            {"CACHE_TTL_SECONDS": "86401", "RETENTION_DAYS": "1"},
            ("CACHE_TTL_SECONDS", "RETENTION_DAYS"),
        ),
        (
            ApiSettings,
            {"DOWNLOAD_URL_SECONDS": "604800", "RETENTION_DAYS": "3"},
            ("DOWNLOAD_URL_SECONDS", "RETENTION_DAYS"),
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    host: type[ApiSettings | ExecutorSettings], given: dict[str, str], names: tuple[str, ...]
) -> None:
    """The message names both."""
    with pytest.raises(SettingsInvalidError) as refused:
        host.from_environment({**COMPLETE, **given})
    assert all(name in refused.value.message for name in names)


def test_the_queue_timeout_grows_with_the_time_limit() -> None:
    """Whoever raises COMFYUI_TIMEOUT_MS alone loses no job that waits behind another one."""
    settings = ExecutorSettings.from_environment({**COMPLETE, "COMFYUI_TIMEOUT_MS": "7200000"})
    assert settings.comfyui_queue_timeout_ms == 2 * 7_200_000
    assert ExecutorSettings.from_environment(COMPLETE).comfyui_queue_timeout_ms == 3_600_000
