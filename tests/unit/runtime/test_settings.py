from pathlib import Path

import pytest
from pydantic import Field

from notecast_runtime.settings import ServiceSettings, describe_bounds, load_settings


class Example(ServiceSettings):
    count: int = Field(default=3, ge=1, le=9, description="how many")


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("NOTECAST_COUNT", "ten", "a whole number, at least 1, at most 9 (how many)"),
        ("NOTECAST_COUNT", "10", "at most 9"),
        ("NOTECAST_LISTEN_PORT", "65536", "at most 65535"),
        ("NOTECAST_REDIS_URL", "http://somewhere", "redis://[user:password@]host:port/database"),
        ("NOTECAST_REDIS_URL", "redis://localhost:abc/0", "host:port/database"),
        ("NOTECAST_REDIS_URL", "redis://localhost:6379/zero", "host:port/database"),
        ("NOTECAST_LOG_LEVEL", "loud", "debug|info|warning|error"),
        ("NOTECAST_REDIS_TIMEOUT_SECONDS", "0", "a number, at least 0.05"),
    ],
)
def test_a_wrong_value_ends_the_process_naming_variable_value_and_what_is_allowed(
    variable: str,
    value: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as ended:
        load_settings(Example)
    said = capsys.readouterr().err
    assert ended.value.code == 2
    shown = value if "URL" not in variable else value[: value.index("://") + 3] + "***"
    assert f"{variable}={shown!r}" in said
    assert words in said


def test_every_wrong_variable_is_named_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NOTECAST_COUNT", "0")
    monkeypatch.setenv("NOTECAST_LISTEN_PORT", "-1")
    with pytest.raises(SystemExit):
        load_settings(Example)
    said = capsys.readouterr().err
    assert "NOTECAST_COUNT" in said
    assert "NOTECAST_LISTEN_PORT" in said


def test_a_password_in_a_wrong_url_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NOTECAST_REDIS_URL", "redis//user:hunter2@host")
    with pytest.raises(SystemExit):
        load_settings(Example)
    said = capsys.readouterr().err
    assert "NOTECAST_REDIS_URL" in said
    assert "hunter2" not in said


def test_a_value_from_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTECAST_COUNT", "9")
    assert load_settings(Example).count == 9


def test_settings_do_not_change_once_they_are_read() -> None:
    settings = Example()
    with pytest.raises(ValueError, match="frozen"):
        settings.count = 4


def test_what_a_setting_takes_is_said_in_words() -> None:
    assert (
        describe_bounds(Example, "count")
        == "it takes a whole number, at least 1, at most 9 (how many)"
    )


def test_a_secret_stands_in_for_a_variable_that_is_not_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notecast_redis_url").write_text("redis://:secret@redis:6379/0\n")
    assert load_settings(Example, tmp_path).redis_url == "redis://:secret@redis:6379/0"
    monkeypatch.setenv("NOTECAST_REDIS_URL", "redis://elsewhere:6379/0")
    assert load_settings(Example, tmp_path).redis_url == "redis://elsewhere:6379/0"


def test_a_wrong_secret_is_named_without_its_password(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notecast_redis_url").write_text("http://:secret@redis:6379/0")
    with pytest.raises(SystemExit):
        load_settings(Example, tmp_path)
    said = capsys.readouterr().err
    assert "NOTECAST_REDIS_URL" in said
    assert "secret" not in said
