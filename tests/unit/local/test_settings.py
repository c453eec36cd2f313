import pytest

from notecast_local.settings import read_settings


def refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        read_settings(arguments)
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_an_option_goes_before_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTECAST_LOCAL_PORT", "9000")
    monkeypatch.setenv("NOTECAST_LOCAL_GATEWAYS", "3")
    settings = read_settings(["--port", "9001"])
    assert (settings.port, settings.gateways) == (9001, 3)


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("NOTECAST_LOCAL_PORT", "eighty", "a whole number"),
        ("NOTECAST_LOCAL_PORT", "0", "at least 1"),
        ("NOTECAST_LOCAL_TUTORIAL_PORT", "65536", "at most 65535"),
        ("NOTECAST_LOCAL_GATEWAYS", "17", "at most 16"),
        ("NOTECAST_LOCAL_DATA", "", "of length at least 1"),
    ],
)
def test_a_wrong_value_is_named_with_its_variable_and_what_is_allowed(
    variable: str,
    value: str,
    allowed: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(variable, value)
    said = refusal([], capsys)
    assert f"{variable}={value!r} is not allowed" in said
    assert allowed in said


def test_a_wrong_option_is_named_as_it_was_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--tutorial-port='x' is not allowed" in refusal(["--tutorial-port", "x"], capsys)


def test_an_unknown_word_gets_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    said = refusal(["--colour"], capsys)
    assert said.startswith("usage: notecast-local")
    assert "--colour" in said


def test_the_two_ports_for_clients_must_differ(capsys: pytest.CaptureFixture[str]) -> None:
    assert "both 9000" in refusal(["--port", "9000", "--tutorial-port", "9000"], capsys)
