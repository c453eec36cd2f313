"""`notecast chat` at a real terminal: a pseudo-terminal, keys pressed, the screen read."""

import signal
from collections.abc import AsyncIterator

import grpc
import pytest

from tests.support.command import Terminal
from tests.support.scripted_chat_server import ScriptedChatServer
from tests.support.waiting import eventually


@pytest.fixture
async def server() -> AsyncIterator[ScriptedChatServer]:
    async with ScriptedChatServer() as scripted:
        yield scripted


def chat(server: ScriptedChatServer) -> Terminal:
    return Terminal("chat", "lobby", "--name", "ann", server=server.address)


async def test_what_is_typed_is_sent_and_what_others_say_appears_above(
    server: ScriptedChatServer,
) -> None:
    await server.write("lobby", "welcome", author="bob")
    async with chat(server) as terminal:
        await terminal.shows("welcome")
        await terminal.shows("ann>")
        terminal.type("hello there\r")
        await terminal.shows(": hello there")
        terminal.type("half a ")
        await server.write("lobby", "excuse me", author="bob")
        await terminal.shows("excuse me")
        terminal.type("sentence\r")
        await terminal.shows(": half a sentence")
        terminal.type("/quit\r")
        assert await terminal.ends() == 0
        assert terminal.echoes()
    assert [request.text for request in server.send_requests] == ["hello there", "half a sentence"]
    assert {request.author for request in server.send_requests} == {"ann"}


async def test_only_the_last_20_notes_are_shown_at_the_start(server: ScriptedChatServer) -> None:
    await server.write("lobby", *[f"<{number}>" for number in range(30)])
    async with chat(server) as terminal:
        await terminal.shows("<29>")
        await terminal.shows("<10>")
        assert "<9>" not in terminal.screen


async def test_an_author_has_a_colour_and_can_not_send_escape_sequences(
    server: ScriptedChatServer,
) -> None:
    await server.write("lobby", "\x1b]0;owned\x07 \x9b2J", author="b\x1b[5mob")
    async with chat(server) as terminal:
        await terminal.shows("␛]0;owned␇ <U+009B>2J")
        await terminal.shows("b␛[5mob")
        assert "\x1b]0;" not in terminal.screen
        assert "\x1b[5m" not in terminal.screen
        assert "\x1b[" in terminal.screen


async def test_a_lost_connection_and_its_return_are_told_of_and_nothing_is_missed(
    server: ScriptedChatServer,
) -> None:
    async with chat(server) as terminal:
        await server.write("lobby", "first")
        await terminal.shows("first")
        await server.cut(grpc.StatusCode.UNAVAILABLE)
        await server.write("lobby", "second")
        await terminal.shows("connection lost (cut by the test); trying again")
        await terminal.shows("connected again")
        await terminal.shows("second")
    assert terminal.screen.count("first") == 1


async def test_a_line_that_is_not_sent_is_offered_again(server: ScriptedChatServer) -> None:
    server.send_fault = grpc.StatusCode.PERMISSION_DENIED
    async with chat(server) as terminal:
        await terminal.shows("ann>")
        terminal.type("precious\r")
        await terminal.shows("not sent: refused: as the test asked for")
        server.send_fault = None
        await terminal.shows("ann> \x1b[0mprecious")
        terminal.type("\r")
        await terminal.shows(": precious")


async def test_what_a_terminal_types_in_another_encoding_is_told_of_and_chat_goes_on(
    server: ScriptedChatServer,
) -> None:
    async with chat(server) as terminal:
        await terminal.shows("ann>")
        terminal.type("caf\u00e9\r", encoding="latin-1")
        await terminal.shows("not sent: your terminal does not send UTF-8")
        await eventually(lambda: not terminal.echoes(), "it asks again")
        terminal.type("\x15hello\r")
        await terminal.shows(": hello")
    assert [request.text for request in server.send_requests] == ["hello"]


async def test_a_slash_begins_a_command_and_two_send_one(server: ScriptedChatServer) -> None:
    async with chat(server) as terminal:
        await terminal.shows("ann>")
        terminal.type("/dance\r")
        await terminal.shows("no such command")
        terminal.type("//me dances\r")
        await terminal.shows(": /me dances")
    assert [request.text for request in server.send_requests] == ["/me dances"]


@pytest.mark.parametrize(("key", "code"), [("\x04", 0), ("\x03", 130)])
async def test_ctrl_d_and_ctrl_c_leave_and_give_the_terminal_back(
    server: ScriptedChatServer, key: str, code: int
) -> None:
    async with chat(server) as terminal:
        await terminal.shows("ann>")
        assert not terminal.echoes()
        terminal.type(key)
        assert await terminal.ends() == code
        assert terminal.echoes()
        assert "Traceback" not in terminal.screen


async def test_sigterm_gives_the_terminal_back(server: ScriptedChatServer) -> None:
    async with chat(server) as terminal:
        await terminal.shows("ann>")
        assert not terminal.echoes()
        terminal.process.send_signal(signal.SIGTERM)
        assert await terminal.ends() == 143
        assert terminal.echoes()


async def test_ctrl_z_gives_the_terminal_back_and_fg_goes_on(server: ScriptedChatServer) -> None:
    async with Terminal(
        "chat", "lobby", "--name", "ann", server=server.address, by_shell=True
    ) as terminal:
        await terminal.shows("ann>")
        terminal.type("half a ")
        await terminal.shows("half a")
        terminal.type("\x1a")
        await terminal.shows("Stopped")
        assert terminal.echoes()
        await server.write("lobby", "meanwhile", author="bob")
        terminal.type("echo $((6*7))\n")
        await terminal.shows("42")
        assert "meanwhile" not in terminal.screen
        terminal.type("fg\n")
        await terminal.shows("meanwhile")
        terminal.type("sentence\r")
        await terminal.shows(": half a sentence")
        terminal.type("\x04")
        await eventually(terminal.echoes, "the terminal is the shell's again")
