"""A variable that no program reads is named, with the one that was meant."""

import pytest

from chat_gateway.settings import GatewaySettings
from history.settings import HistorySettings
from notecast_client import cli
from notecast_environment.variables import unknown_variables
from notecast_local.settings import LocalSettings, read_settings
from notecast_runtime.settings import variable_of, warn_of_unknown_variables
from tools.generate_variables import main


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("NOTECAST_LOGLEVEL", "NOTECAST_LOG_LEVEL"),
        ("NOTECAST_MAX_STREAM", "NOTECAST_MAX_STREAMS"),
        ("NOTECAST_LOCAL_PORT", "NOTECAST_PORT"),
        ("NOTECAST_LOCAL_TUTORIAL_PORT", "NOTECAST_TUTORIAL_PORT"),
        ("NOTECAST_SERVERS", "NOTECAST_SERVER"),
    ],
)
def test_an_unknown_variable_is_named_with_the_nearest_known_one(name: str, meant: str) -> None:
    assert unknown_variables([name]) == [f"{name} is not known: did you mean {meant}?"]


def test_what_is_like_none_is_named_alone() -> None:
    assert unknown_variables(["NOTECAST_XQZ"]) == ["NOTECAST_XQZ is not known"]


def test_the_variables_of_all_programs_and_of_others_are_fine() -> None:
    settings = (GatewaySettings, HistorySettings, LocalSettings)
    names = {variable_of(field) for kind in settings for field in kind.model_fields}
    others = {
        "NOTECAST_SERVER",
        "NOTECAST_SECRETS",
        "NOTECAST_REQUIRE_CONTAINERS",
        "NOTECAST_REQUIRE_GO",
    }
    assert unknown_variables([*names, *others, "HOME", "NOTE"]) == []
    assert cli.unknown_variables is unknown_variables  # type: ignore[attr-defined]


def test_the_names_are_those_of_the_code_as_it_is() -> None:
    assert main(["--check"]) == 0


def test_however_many_there_are_a_few_are_named() -> None:
    assert len(unknown_variables(f"NOTECAST_A{number}" for number in range(1_000))) == 20


def test_a_service_logs_it_and_starts_all_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NOTECAST_LOGLEVEL", "a secret value")
    warn_of_unknown_variables()
    said = capsys.readouterr().out
    assert "did you mean NOTECAST_LOG_LEVEL?" in said
    assert "a secret value" not in said


def test_make_run_says_it_and_starts_all_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NOTECAST_LOCAL_PORT", "9000")
    assert read_settings([]).port == 8080
    assert "did you mean NOTECAST_PORT?" in capsys.readouterr().err
