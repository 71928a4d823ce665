"""Behaviour of settings: read once, every mistake in one line, no value ever shown."""

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


def test_what_is_not_set_has_its_default() -> None:
    """The names of what is stored are all that has to be set."""
    settings = ApiSettings.from_environment(COMPLETE)
    assert (settings.table_name, settings.open_access, settings.max_image_size) == ("t", False, 2048)
    assert (settings.max_batch_size, settings.retention_days, settings.download_url_seconds) == (8, 30, 3600)


def test_an_empty_variable_counts_as_not_set() -> None:
    """FOO= in a shell or a template means the default."""
    assert ApiSettings.from_environment({**COMPLETE, "MAX_IMAGE_SIZE": "", "OPEN_ACCESS": ""}).max_image_size == 2048


def test_text_becomes_what_the_setting_is() -> None:
    """Numbers and switches are written as text in an environment."""
    settings = ApiSettings.from_environment({**COMPLETE, "MAX_IMAGE_SIZE": "4096", "OPEN_ACCESS": "true"})
    assert (settings.max_image_size, settings.open_access) == (4096, True)


def test_other_variables_do_not_matter() -> None:
    """An environment is full of them."""
    assert ApiSettings.from_environment({**COMPLETE, "PATH": "/bin", "table_name": "other"}).table_name == "t"


def test_one_line_names_every_wrong_variable() -> None:
    """Missing and wrong ones come together."""
    environment = {**COMPLETE, "MAX_IMAGE_SIZE": "huge", "RETENTION_DAYS": "0", "LOG_LEVEL": "loud"}
    del environment["TABLE_NAME"]
    with pytest.raises(SettingsInvalidError) as caught:
        ApiSettings.from_environment(environment)
    assert "\n" not in caught.value.message
    assert "TABLE_NAME: is not set" in caught.value.message
    assert all(f"{name}: " in caught.value.message for name in ("MAX_IMAGE_SIZE", "RETENTION_DAYS", "LOG_LEVEL"))


WRONG = "s3cret"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_ATTEMPTS", WRONG),
        ("LOG_LEVEL", WRONG),
        ("SHUTDOWN_GRACE_SECONDS", WRONG),
        ("COMFYUI_URL", WRONG),
        ("COMFYUI_URL", f"ftp://user:{WRONG}@host/"),
        ("COMFYUI_URL", f"http://host:{WRONG}"),
        ("COMFYUI_URL", f"http://user:{WRONG}@host:99999"),
        ("COMFYUI_URL", f"http://[{WRONG}"),
        ("COMFYUI_URL", f"http://{WRONG}\u2100host"),
    ],
)
def test_a_wrong_value_is_never_shown(name: str, value: str) -> None:
    """A setting may be a secret, or hold one: neither the message nor its traceback has it."""
    with pytest.raises(SettingsInvalidError) as caught:
        ExecutorSettings.from_environment({**COMPLETE, name: value})
    assert caught.value.message.startswith(f"{name}: ")
    assert WRONG not in caught.value.message
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
def test_origins_stand_between_commas(text: str, origins: tuple[str, ...]) -> None:
    """Written as browsers send them."""
    assert ApiSettings.from_environment({**COMPLETE, "CORS_ORIGINS": text}).cors_origins == origins


@pytest.mark.parametrize(
    "text",
    ["https://a.example/", "a.example", "https://a.example/path", "*.example.com", "https://*.example.com", "null",
     "*,https://a.example", "https://a.example https://b.example", "ftp://a.example", "https://u:p@a.example"],
)  # fmt: skip
def test_malformed_origins_are_refused(text: str) -> None:
    """What could never match, or would match more than it says, stops the start."""
    with pytest.raises(SettingsInvalidError) as caught:
        ApiSettings.from_environment({**COMPLETE, "CORS_ORIGINS": text})
    assert caught.value.message.startswith("CORS_ORIGINS: must be ")


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("WEBHOOK_SECRET", WRONG, "must have at least 24 bytes"),
        ("WEBHOOK_SECRET", f"whsec_{WRONG}", "must be base64 after whsec_"),
        ("WEBHOOK_SECRET", "whsec_czNjcmV0", "must have at least 24 bytes"),
        ("WEBHOOK_SECRET_PREVIOUS", WRONG * 5, "is set, but WEBHOOK_SECRET is not"),
        ("WEBHOOK_SECRET_RENEWALS", WRONG, "must be owners and how often "),
        ("WEBHOOK_SECRET_RENEWALS", f"{WRONG}:0", "must be owners and how often "),
        ("WEBHOOK_SECRET_RENEWALS", f"{WRONG}:1,{WRONG}:2", "must be owners and how often "),
        ("WEBHOOK_SECRET_RENEWALS", f"{WRONG}:1", "is set, but WEBHOOK_SECRET_PER_OWNER is not true"),
        ("WEBHOOK_ALLOWED_DOMAINS", f"https://{WRONG}.example", "must be *, or names like "),
        ("WEBHOOK_ALLOWED_DOMAINS", f"*{WRONG}.example", "must be *, or names like "),
        ("WEBHOOK_ALLOWED_DOMAINS", ",", "must be *, or names like "),
    ],
)
def test_wrong_webhook_settings_are_refused(name: str, value: str, reason: str) -> None:
    """What could be guessed, or would never match, stops the start, without being shown."""
    with pytest.raises(SettingsInvalidError) as caught:
        ApiSettings.from_environment({**COMPLETE, name: value})
    assert caught.value.message.startswith(f"{name}: {reason}")
    assert WRONG not in caught.value.message


def test_allowed_domains_stand_between_commas() -> None:
    """In lower case, and all of them if nothing is said."""
    given = {**COMPLETE, "WEBHOOK_ALLOWED_DOMAINS": " Hooks.Example.com , *.partner.example"}
    assert ApiSettings.from_environment(given).webhook_allowed_domains == ("hooks.example.com", "*.partner.example")
    assert ApiSettings.from_environment(COMPLETE).webhook_allowed_domains == ("*",)


@pytest.mark.parametrize("level", ["info", "Warn", "WARNING", "debug"])
def test_levels_have_no_case(level: str) -> None:
    """They are written as other loggers write them, too."""
    assert ExecutorSettings.from_environment({**COMPLETE, "LOG_LEVEL": level}).log_level == level.upper()


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"S3_ENDPOINT": "http://store:9000"}, "S3_BUCKET: is not set, but S3_ENDPOINT is"),
        ({"S3_BUCKET": "b", "S3_SECRET_KEY": WRONG}, "S3_SECRET_KEY: must be set together with S3_ACCESS_KEY"),
        ({"S3_BUCKET": "b", "S3_ACCESS_KEY": WRONG}, "S3_SECRET_KEY: must be set together with S3_ACCESS_KEY"),
        ({"S3_BUCKET": f"{WRONG}/b"}, "S3_BUCKET: "),
        ({"S3_REGION": f"{WRONG} here"}, "S3_REGION: "),
    ],
)
def test_half_a_bucket_is_refused(given: dict[str, str], named: str) -> None:
    """A store needs a bucket, and a key its secret."""
    with pytest.raises(SettingsInvalidError) as caught:
        ApiSettings.from_environment({**COMPLETE, **given})
    assert caught.value.message.startswith(named)
    assert WRONG not in caught.value.message


def test_a_short_jwt_secret_is_refused() -> None:
    """It has 32 bytes at least, and no message or printed settings show it."""
    with pytest.raises(SettingsInvalidError) as caught:
        ApiSettings.from_environment({**COMPLETE, "JWT_SECRET": WRONG * 5})
    assert caught.value.message == "JWT_SECRET: must have at least 32 bytes, and be random"
    good = ApiSettings.from_environment({**COMPLETE, "JWT_SECRET": "é" * 16})
    assert "é" not in repr(good)


@pytest.mark.parametrize("port", ["abc", "0", "65536", "-1", "8 0", "1.5"])
def test_a_port_is_a_number(port: str) -> None:
    """It is said in words, with its limits."""
    with pytest.raises(SettingsInvalidError) as caught:
        LocalSettings.from_environment({"PORT": port})
    assert caught.value.message == "PORT: must be a number from 1 to 65535"


def test_an_address_loses_its_last_slash() -> None:
    """Paths are put behind it."""
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
def test_addresses_that_work_are_taken(address: str) -> None:
    """Names, also those of containers, and addresses of both families, with or without port and path."""
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
def test_addresses_that_could_not_work_are_refused(address: str) -> None:
    """In one line, before anything tries to connect to them; none with a password is taken, for it would be shown."""
    with pytest.raises(SettingsInvalidError) as caught:
        LocalSettings.from_environment({"COMFYUI_URL": address})
    assert caught.value.message.startswith("COMFYUI_URL: must be an address ")
    assert ("user and password" in caught.value.message) == ("@" in address)
    assert "\n" not in caught.value.message
