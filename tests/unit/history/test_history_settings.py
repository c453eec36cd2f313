"""What the environment may tell the history service."""

import pytest

from history.settings import HistorySettings
from notecast_runtime.settings import load_settings


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTECAST_RETENTION_NOTES", "5")
    monkeypatch.setenv("NOTECAST_RETENTION_SECONDS", "3600")
    settings = load_settings(HistorySettings)
    assert (settings.retention_notes, settings.retention_seconds) == (5, 3600)


def test_by_default_a_room_keeps_10_000_notes_of_any_age() -> None:
    settings = HistorySettings()
    assert settings.listen_port == 50052
    assert (settings.retention_notes, settings.retention_seconds) == (10_000, 0)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("NOTECAST_RETENTION_NOTES", "0", "at least 1"),
        ("NOTECAST_RETENTION_NOTES", "many", "a whole number"),
        ("NOTECAST_RETENTION_SECONDS", "-1", "at least 0"),
        ("NOTECAST_RETENTION_SECONDS", "inf", "at most"),
        ("NOTECAST_RETENTION_SWEEP_SECONDS", "0", "at least 0.05"),
        ("NOTECAST_OUTBOX_TRIM_MARGIN_SECONDS", "-1", "at least 0"),
        ("NOTECAST_OUTBOX_TRIM_MARGIN_SECONDS", "nan", "at least 0"),
        ("NOTECAST_PERSIST_BATCH", "5000", "at most 1024"),
        ("NOTECAST_LEASE_SECONDS", "0.1", "at least 0.3"),
    ],
)
def test_a_value_that_is_not_allowed_is_named_with_what_is(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    value: str,
    allowed: str,
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        load_settings(HistorySettings)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert f"{name}='{value}'" in said
    assert allowed in said
