from pathlib import Path

import pytest

from notecast_environment.variables import KNOWN
from notecast_local.edge import Edge
from notecast_local.ports import StackPorts
from notecast_local.settings import CHOSEN_HERE, read_settings
from notecast_local.stack import stages_of


def refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        read_settings(arguments)
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_an_option_goes_before_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTECAST_PORT", "9000")
    monkeypatch.setenv("NOTECAST_GATEWAYS", "3")
    settings = read_settings(["--port", "9001"])
    assert (settings.port, settings.gateways) == (9001, 3)


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("NOTECAST_PORT", "eighty", "a whole number"),
        ("NOTECAST_PORT", "0", "at least 1"),
        ("NOTECAST_TUTORIAL_PORT", "65536", "at most 65535"),
        ("NOTECAST_GATEWAYS", "17", "at most 16"),
        ("NOTECAST_DATA", "", "of length at least 1"),
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


def test_a_port_may_come_with_this_machines_address_as_for_compose(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NOTECAST_PORT", "127.0.0.1:9000")
    assert read_settings([]).port == 9000
    monkeypatch.setenv("NOTECAST_PORT", "0.0.0.0:9000")
    assert "on this machine only" in refusal([], capsys)


def test_what_envoy_is_told_comes_from_the_variables_that_containers_take(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert read_settings([]).edge == Edge()
    monkeypatch.setenv("NOTECAST_ALLOWED_HOSTS", "chat.example.com, *.example.org")
    monkeypatch.setenv("NOTECAST_ALLOWED_ORIGINS", "https://chat.example.com,http://localhost:5173")
    monkeypatch.setenv("NOTECAST_TRUSTED_HOPS", "2")
    monkeypatch.setenv("NOTECAST_STREAMS_PER_CONNECTION", "1000")
    assert read_settings([]).edge == Edge(
        ("chat.example.com", "*.example.org"),
        ("https://chat.example.com", "http://localhost:5173"),
        2,
        1000,
    )
    monkeypatch.setenv("NOTECAST_ALLOWED_HOSTS", "https://chat.example.com")
    assert "NOTECAST_ALLOWED_HOSTS='https://chat.example.com' is not allowed" in refusal([], capsys)


@pytest.mark.parametrize("variable", CHOSEN_HERE)
def test_a_variable_whose_value_the_stack_chooses_itself_is_named(
    variable: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for each in CHOSEN_HERE:
        monkeypatch.delenv(each, raising=False)
    read_settings([])
    assert capsys.readouterr().err == ""
    monkeypatch.setenv(variable, "redis://user:hunter2@redis.example.com/0")
    read_settings([])
    said = capsys.readouterr().err
    assert said.startswith(f"warning: {variable} is not used")
    assert said.count("\n") == 1
    assert "hunter2" not in said


def test_the_variables_named_are_those_that_reach_no_service(tmp_path: Path) -> None:
    given = dict.fromkeys(KNOWN, "as given")
    ports = StackPorts(1, 2, 3, 4, 5, (6, 7))
    services = [
        program
        for stage in stages_of(ports, tmp_path, given)
        for program in stage
        if program.name.startswith(("history", "chat-gateway"))
    ]
    assert len(services) == 3
    for service in services:
        handed_on = {name for name in KNOWN if service.environment[name] == "as given"}
        assert KNOWN - handed_on == set(CHOSEN_HERE)
