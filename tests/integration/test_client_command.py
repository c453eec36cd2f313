"""The command `notecast` as a shell user sees it: output, errors, exit codes."""

import asyncio
import json
import os
import signal
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator

import grpc
import pytest

from notecast_runtime.errors import RedisUnavailableError, WritesRefusedError
from tests.support.command import finish, in_shell, notecast, start
from tests.support.ports import free_port
from tests.support.scripted_chat_server import ScriptedChatServer
from tests.support.waiting import eventually

_NEXT_STEP = " (is it running? try `make run`, or name another with --server)"


@pytest.fixture
async def server() -> AsyncIterator[ScriptedChatServer]:
    async with ScriptedChatServer() as scripted:
        yield scripted


async def test_send_prints_where_the_note_stands(server: ScriptedChatServer) -> None:
    words = ("send", "lobby", "hello", "--name", "ann", "--note-id", "n1", "--label", "k=v")
    outcome = await notecast(*words, server=server.address)
    assert outcome == (0, f"{server.epoch}:1\n", "")
    (sent,) = server.send_requests
    assert (sent.author, sent.text, sent.note_id) == ("ann", "hello", "n1")
    assert dict(sent.labels) == {"k": "v"}


@pytest.mark.parametrize("words", [(), ("-",)])
async def test_send_takes_its_text_from_standard_input(
    server: ScriptedChatServer, words: tuple[str, ...]
) -> None:
    outcome = await notecast(
        "send", "lobby", *words, "--json", server=server.address, text="two\nlines\n"
    )
    assert server.send_requests[0].text == "two\nlines"
    assert json.loads(outcome.out)["note_id"] == server.send_requests[0].note_id


async def test_a_refused_send_names_the_field_in_one_line(server: ScriptedChatServer) -> None:
    outcome = await notecast("send", "lobby", "", server=server.address)
    assert outcome == (1, "", "notecast: refused: text is empty; at least 1 byte\n")


async def test_a_send_that_loses_its_answer_says_that_the_note_may_be_stored(
    server: ScriptedChatServer,
) -> None:
    server.send_fault = RedisUnavailableError("Redis is away")
    outcome = await notecast("--timeout", "3", "send", "lobby", "hello", server=server.address)
    assert outcome.code == 69
    assert outcome.err == (
        "notecast: Redis is away; try again in 1 s; "
        "the note may have been stored: see `notecast history lobby`\n"
    )


async def test_a_send_that_was_refused_for_sure_raises_no_doubt(
    server: ScriptedChatServer,
) -> None:
    server.send_fault = WritesRefusedError("redis_full", "Redis is full")
    outcome = await notecast("--timeout", "3", "send", "lobby", "hello", server=server.address)
    assert outcome.code == 69
    assert outcome.err == "notecast: Redis is full; nothing was stored; try again in 1 s\n"


async def test_standard_input_that_is_no_text_is_refused(server: ScriptedChatServer) -> None:
    outcome = await notecast("send", "lobby", server=server.address, text=b"\xff\xfe")
    assert outcome == (1, "", "notecast: standard input is not valid UTF-8\n")
    assert not server.send_requests


@pytest.mark.parametrize(
    "words",
    [
        ("send", "lobby", "hello"),
        ("tail", "lobby"),
        ("history", "lobby"),
        ("health",),
        ("chat", "lobby"),
    ],
)
async def test_a_server_that_is_not_there_is_one_line_and_exit_code_69(
    words: tuple[str, ...],
) -> None:
    address = f"127.0.0.1:{free_port()}"
    outcome = await notecast("--timeout", "0.3", *words, server=address)
    assert outcome == (
        69,
        "",
        f"notecast: no server at {address}{_NEXT_STEP}\n",
    )


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("shout",), "No such command 'shout'"),
        (("tail",), "Missing argument"),
        (("tail", "lobby", "--never"), "No such option"),
        (("tail", "lobby", "--last", "0"), "--last"),
        (("tail", "lobby", "--last", "1", "--from-start"), "one of --last"),
        (("tail", "lobby", "ops", "--after", "1:1"), "one room"),
        (("tail", "lobby", "--after", "1"), "EPOCH:SEQUENCE"),
        (("send", "lobby", "x", "--label", "k"), "KEY=VALUE"),
        (("--server", "nowhere", "health"), "HOST:PORT"),
    ],
)
async def test_wrong_words_get_the_usage_and_exit_code_2(
    words: tuple[str, ...], fault: str
) -> None:
    outcome = await notecast(*words, server="127.0.0.1:1")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("Usage: notecast")
    assert fault in outcome.err


async def test_help_and_version_need_no_server() -> None:
    about = await notecast("--help", server="127.0.0.1:1")
    assert about.code == 0
    assert "notecast chat lobby --name ann" in about.out
    assert "Exit codes:" in about.out
    version = await notecast("--version", server="127.0.0.1:1")
    assert version.code == 0
    assert version.out.startswith("notecast ")


async def test_tail_prints_one_json_object_a_note_and_ends_where_the_live_log_begins(
    server: ScriptedChatServer,
) -> None:
    await server.write("lobby", "zero", "on\x1be", "two")
    outcome = await notecast(
        "tail", "lobby", "--last", "2", "--json", "--no-follow", server=server.address
    )
    assert (outcome.code, outcome.err) == (0, "")
    assert "\x1b" not in outcome.out
    notes = [json.loads(line) for line in outcome.out.splitlines()]
    assert [note["text"] for note in notes] == ["on\x1be", "two"]
    assert notes[0] | {"create_time": ""} == {
        "room": "lobby",
        "epoch": str(server.epoch),
        "sequence": "2",
        "note_id": "lobby-2",
        "author": "ann",
        "text": "on\x1be",
        "create_time": "",
    }


async def test_tail_of_several_rooms_names_the_room_and_neutralises_what_people_wrote(
    server: ScriptedChatServer,
) -> None:
    await server.write("lobby", "\x1b[2Jhello")
    await server.write("ops", "well")
    outcome = await notecast(
        "tail", "lobby", "ops", "--from-start", "--no-follow", server=server.address
    )
    assert [line.split(" ", 2)[2] for line in outcome.out.splitlines()] == [
        "lobby ann: ␛[2Jhello",
        "ops ann: well",
    ]


async def test_tail_begins_after_a_position(server: ScriptedChatServer) -> None:
    await server.write("lobby", "one", "two", "three")
    position = f"{server.epoch}:2"
    outcome = await notecast(
        "tail", "lobby", "--after", position, "--no-follow", server=server.address
    )
    assert outcome.out.endswith(" ann: three\n")
    assert outcome.out.count("\n") == 1


async def test_tail_after_an_unknown_position_is_refused(server: ScriptedChatServer) -> None:
    outcome = await notecast("tail", "lobby", "--after", "5:5", server=server.address)
    assert outcome == (1, "", "notecast: refused: subscriptions[0].after 5:5 is unknown\n")


async def test_tail_follows_across_a_lost_connection_and_says_so_on_standard_error(
    server: ScriptedChatServer,
) -> None:
    await server.write("lobby", "one")
    process = await start("tail", "lobby", "--from-start", "--json", server=server.address)
    assert process.stdout is not None
    assert json.loads(await process.stdout.readline())["text"] == "one"
    await server.cut(grpc.StatusCode.UNAVAILABLE)
    await server.write("lobby", "two")
    assert json.loads(await process.stdout.readline())["text"] == "two"
    process.send_signal(signal.SIGINT)
    outcome = await finish(process)
    assert outcome == (
        130,
        "",
        "notecast: connection lost (cut by the test); trying again\nnotecast: connected again\n",
    )


async def test_tail_tells_of_a_lost_log_among_the_json(server: ScriptedChatServer) -> None:
    await server.write("lobby", "old")
    process = await start("tail", "lobby", "--last", "1", "--json", server=server.address)
    assert process.stdout is not None
    await process.stdout.readline()
    lost = {"epoch": str(server.epoch), "sequence": "1"}
    await server.lose_log()
    await server.write("lobby", "new")
    assert json.loads(await process.stdout.readline()) == {
        "discontinuity": {"room": "lobby", "reason": "REASON_EPOCH", "after": lost}
    }
    assert json.loads(await process.stdout.readline())["text"] == "new"
    process.terminate()
    outcome = await finish(process)
    assert outcome.code == 143
    assert "lobby: the server lost notes of this room" in outcome.err


async def test_a_reader_that_goes_away_ends_tail_quietly_even_while_nothing_comes(
    server: ScriptedChatServer,
) -> None:
    await server.write("lobby", "one")
    ours, theirs = os.pipe()
    process = await start("tail", "lobby", "--last", "1", server=server.address, stdout=theirs)
    os.close(theirs)
    assert await asyncio.to_thread(os.read, ours, 1000)
    os.close(ours)
    assert await finish(process) == (0, "", "")


async def test_a_reader_that_goes_away_ends_history_quietly(server: ScriptedChatServer) -> None:
    await server.write("lobby", *["x" * 10_000] * 100)
    ours, theirs = os.pipe()
    process = await start("history", "lobby", server=server.address, stdout=theirs)
    os.close(theirs)
    await asyncio.to_thread(os.read, ours, 1000)
    os.close(ours)
    assert await finish(process) == (0, "", "")


async def test_history_prints_the_newest_notes_oldest_first(server: ScriptedChatServer) -> None:
    await server.write("lobby", *[str(number) for number in range(260)])
    newest = await notecast("history", "lobby", "--last", "2", server=server.address)
    assert [line.rsplit(" ", 1)[1] for line in newest.out.splitlines()] == ["258", "259"]
    everything = await notecast("history", "lobby", "--all", "--json", server=server.address)
    texts = [json.loads(line)["text"] for line in everything.out.splitlines()]
    assert texts == [str(number) for number in range(260)]
    position = f"{server.epoch}:3"
    older = await notecast("history", "lobby", "--before", position, server=server.address)
    assert [line.rsplit(" ", 1)[1] for line in older.out.splitlines()] == ["0", "1"]


async def test_health_exits_with_0_only_where_the_server_is_serving(
    server: ScriptedChatServer,
) -> None:
    assert await notecast("health", server=server.address) == (1, "NOT_SERVING\n", "")
    server.health.report("scripted", holds=True)
    assert await notecast("health", server=server.address) == (0, "SERVING\n", "")
    assert await notecast("health", "nobody", server=server.address) == (
        1,
        "",
        "notecast: the server has no service 'nobody'; liveness and readiness always exist\n",
    )


async def test_lines_of_a_pipe_are_sent_and_chat_ends_when_all_came_back(
    server: ScriptedChatServer,
) -> None:
    await server.write("lobby", "before", author="bob")
    outcome = await notecast(
        "chat", "lobby", "--name", "ann", server=server.address, text="one\r\n\ntwo\nlast"
    )
    assert (outcome.code, outcome.err) == (0, "")
    assert [line.split(" ", 1)[1] for line in outcome.out.splitlines()] == [
        "bob: before",
        "ann: one",
        "ann: two",
        "ann: last",
    ]


async def test_chat_does_not_end_before_its_last_line_came_back(
    server: ScriptedChatServer,
) -> None:
    server.notes_pass.clear()
    process = await start("chat", "lobby", "-n", "ann", server=server.address, stdin=PIPE)
    assert process.stdin is not None
    process.stdin.write(b"one\n")
    process.stdin.close()
    await eventually(lambda: server.send_requests, "the line is sent")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await process.wait()
    server.notes_pass.set()
    outcome = await finish(process)
    assert outcome.code == 0
    assert outcome.out.endswith(" ann: one\n")


async def test_a_refused_line_is_named_with_its_number_and_the_others_are_sent(
    server: ScriptedChatServer,
) -> None:
    text = b"\xef\xbb\xbfone\r\n\x1b[31mred\n\n\xff\xfe\n" + b"x" * 1_048_577 + b"\nlast\n"
    outcome = await notecast("chat", "lobby", server=server.address, text=text)
    assert outcome.code == 1
    assert outcome.err.splitlines() == [
        "notecast: line 2 was not sent: refused: text has the control character U+001B",
        "notecast: line 4 was not sent: it is not valid UTF-8",
        "notecast: line 5 was not sent: it is longer than 1048576 bytes",
    ]
    assert [line.rsplit(" ", 1)[1] for line in outcome.out.splitlines()] == ["one", "last"]


async def test_what_would_refuse_every_line_ends_chat_at_the_first(
    server: ScriptedChatServer,
) -> None:
    server.send_fault = grpc.StatusCode.PERMISSION_DENIED
    outcome = await notecast("chat", "lobby", server=server.address, text="one\ntwo\n")
    assert outcome == (
        1,
        "",
        "notecast: line 1 was not sent, and none after it was: refused: as the test asked for\n",
    )
    assert len(server.send_requests) == 1


async def test_a_send_drops_the_byte_order_mark_of_standard_input(
    server: ScriptedChatServer,
) -> None:
    await notecast("send", "lobby", server=server.address, text=b"\xef\xbb\xbfhello\r\n")
    assert server.send_requests[0].text == "hello"


async def test_names_are_sent_composed_whichever_way_they_were_typed(
    server: ScriptedChatServer,
) -> None:
    await notecast("send", "cafe\u0301", "hi", "-n", "Zoe\u0308", server=server.address)
    (sent,) = server.send_requests
    assert (sent.room, sent.author) == ("caf\u00e9", "Zo\u00eb")
    tail = await notecast(
        *("tail", "cafe\u0301", "caf\u00e9", "--last", "1", "--no-follow"), server=server.address
    )
    assert (tail.code, tail.out.count("hi")) == (0, 1)
    assert "hi" in (await notecast("history", "cafe\u0301", server=server.address)).out


async def test_history_of_a_room_without_notes_says_so_to_people_alone(
    server: ScriptedChatServer,
) -> None:
    outcome = await notecast("history", "lobbby", server=server.address)
    assert outcome == (0, "", "notecast: no notes in lobbby\n")
    place = f"{server.epoch}:1"
    outcome = await notecast("history", "lobby", "--before", place, server=server.address)
    assert outcome == (0, "", f"notecast: no notes in lobby before {place}\n")
    outcome = await notecast("history", "lobby", "--json", server=server.address)
    assert outcome == (0, "", "")


@pytest.mark.parametrize("word", [b"chat", b"history", b"send"])
async def test_an_argument_that_is_not_utf_8_is_wrong_usage(word: bytes) -> None:
    outcome = await notecast(word, b"caf\xe9", server="127.0.0.1:1")
    assert outcome.code == 2
    assert "b'caf\\xe9' is not valid UTF-8" in outcome.err


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "latin-1:strict"])
async def test_what_the_output_can_not_hold_is_a_sign_and_reading_goes_on(
    server: ScriptedChatServer, encoding: str
) -> None:
    await server.write("lobby", "before", "an emoji: \U0001f469", "\x1b[2J", "after")
    for words in (("history", "lobby"), ("tail", "lobby", "--from-start", "--no-follow")):
        outcome = await notecast(*words, server=server.address, PYTHONIOENCODING=encoding)
        assert (outcome.code, outcome.err) == (0, "")
        assert [line.split(": ", 1)[1] for line in outcome.out.splitlines()] == [
            "before",
            "an emoji: <U+1F469>",
            "<U+001B>[2J",
            "after",
        ]


async def test_chat_in_a_pipe_goes_on_where_its_output_can_not_hold_what_others_say(
    server: ScriptedChatServer,
) -> None:
    await server.write("lobby", "\U0001f389", author="bob")
    outcome = await notecast(
        "chat",
        "lobby",
        "-n",
        "ann",
        server=server.address,
        text="bye\n",
        PYTHONIOENCODING="latin-1",
    )
    assert (outcome.code, outcome.err) == (0, "")
    assert [line.split(" ", 1)[1] for line in outcome.out.splitlines()] == [
        "bob: <U+1F389>",
        "ann: bye",
    ]


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("$notecast send lobby hello >&-", 1, "standard output is closed"),
        ("$notecast history lobby >&-", 1, "standard output is closed"),
        ("$notecast tail lobby --last 1 >&-", 1, "standard output is closed"),
        ("echo hello | $notecast chat lobby >&-", 1, "standard output is closed"),
        ("$notecast --help >&-", 1, "can't write: Bad file descriptor"),
        ("$notecast send lobby <&-", 1, "can't read standard input: Bad file descriptor"),
        ("$notecast chat lobby <&-", 1, "can't read standard input: Bad file descriptor"),
        ("$notecast history lobby >/dev/full", 1, "No space left on device"),
        ("$notecast history lobby <&- 2>&-", 0, ""),
        ("$notecast send lobby '' 2>&-", 1, ""),
        ("$notecast send lobby '' 2>/dev/full", 1, ""),
        ("$notecast send lobby '' <&- >/dev/null 2>&-", 1, ""),
        ("$notecast nonsense <&- >&- 2>&-", 2, ""),
    ],
)
async def test_closed_streams_are_told_of_in_a_line_where_it_matters(
    server: ScriptedChatServer, line: str, code: int, says: str
) -> None:
    await server.write("lobby", "one")
    outcome = await in_shell(line, server.address)
    assert outcome.code == code, outcome
    assert says in outcome.err
    assert outcome.err.count("\n") == bool(says)
    assert not server.send_requests or server.send_requests[0].text == ""


async def test_a_reader_of_standard_error_that_goes_away_ends_nothing(
    server: ScriptedChatServer,
) -> None:
    ours, theirs = os.pipe()
    process = await start("tail", "lobby", server=server.address, stderr=theirs)
    os.close(theirs)
    os.close(ours)
    await eventually(lambda: server.open_streams, "tail has joined")
    await server.cut(grpc.StatusCode.UNAVAILABLE)
    await eventually(lambda: len(server.subscribe_requests) > 1, "tail has joined again")
    await server.write("lobby", "still here")
    assert process.stdout is not None
    assert b"still here" in await process.stdout.readline()
    process.terminate()
    assert await process.wait() == 143


@pytest.mark.parametrize("words", ["history lobby", "tail lobby --from-start"])
async def test_a_reader_that_is_gone_from_the_start_is_no_error(
    server: ScriptedChatServer, words: str
) -> None:
    await server.write("lobby", *["x" * 10_000] * 30)
    line = f"$notecast {words} | true; echo ${{PIPESTATUS[0]}}"
    assert await in_shell(line, server.address) == (0, "0\n", "")


async def test_chat_waits_for_a_slow_pipe_and_ends_by_ctrl_c(server: ScriptedChatServer) -> None:
    process = await start("chat", "lobby", server=server.address, stdin=PIPE)
    assert process.stdin is not None
    process.stdin.write(b"one\n")
    await eventually(lambda: server.send_requests, "the first line is sent")
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(10):
        assert await process.wait() == 130
    assert (await finish(process)).err == ""
