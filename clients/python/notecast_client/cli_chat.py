"""Runs `chat`: on a terminal with a prompt below the notes, otherwise line by line."""

import asyncio
import sys
from collections.abc import Callable, Coroutine

from prompt_toolkit import PromptSession
from prompt_toolkit.patch_stdout import patch_stdout
from rich.text import Text

from notecast_client.cli_commands import MAX_INPUT_BYTES, client_for
from notecast_client.cli_options import ChatOptions, Server, is_utf8
from notecast_client.conversation import Conversation
from notecast_client.errors import ClientError, NoAnswerError, RequestRefusedError
from notecast_client.input_lines import InputLine, input_lines
from notecast_client.rendering import neutralise
from notecast_client.terminal import (
    INTERRUPTED,
    OK,
    REFUSED,
    CommandError,
    Output,
    describe,
    outcome,
    say,
)

_WELCOME = "{room} at {address}; you are {name}; Ctrl-D or /quit leaves"
_NO_SUCH_COMMAND = "no such command; /quit leaves; begin with // to send a line with a /"


async def chat(server: Server, options: ChatOptions) -> int:
    """Chats in a room until the person leaves, or standard input ends."""
    if sys.stdin.isatty() and sys.stdout.isatty():
        with patch_stdout(raw=True):  # notes appear above the prompt; raw keeps their colours
            return await _at_terminal(server, options)
    return await _line_by_line(server, options)


async def _at_terminal(server: Server, options: ChatOptions) -> int:
    output = Output()

    def tell(words: str) -> None:
        output.write_line(Text(f"-- {words}", style="dim"))

    async with client_for(server) as client:
        await client.connect()
        names = {"room": options.room, "address": server.address, "name": options.name}
        tell(neutralise(_WELCOME.format(**names)))
        conversation = Conversation(
            client, options.room, options.name, show=output.write_line, tell=tell
        )
        return await _first_of(conversation.listen(), _prompt(conversation, options.name, tell))


async def _prompt(conversation: Conversation, name: str, tell: Callable[[str], None]) -> int:
    """Reads lines and sends them; offers a line again that could not be sent."""
    session: PromptSession[str] = PromptSession(erase_when_done=True, enable_suspend=True)
    draft = ""
    while True:
        try:
            line = await session.prompt_async([("bold", f"{neutralise(name)}> ")], default=draft)
        except EOFError:
            return OK
        except KeyboardInterrupt:
            return INTERRUPTED
        draft = ""
        text = line.strip()
        if text == "/quit":
            return OK
        if text.startswith("/") and not text.startswith("//"):
            tell(_NO_SUCH_COMMAND)
        elif text:
            draft = await _say(conversation, line, tell)


async def _say(conversation: Conversation, line: str, tell: Callable[[str], None]) -> str:
    """Sends a line; returns the text that is left to send: nothing, or the line."""
    if not is_utf8(line):
        tell("not sent: your terminal does not send UTF-8; set it to UTF-8")
        return line.encode(errors="replace").decode()
    try:
        await conversation.say(line.removeprefix("/") if line.startswith("//") else line)
    except RequestRefusedError as error:
        tell(f"not sent: {describe(error)}")
        return line
    except ClientError as error:
        tell(f"perhaps not sent: {describe(error)}")
        return line
    return ""


async def _line_by_line(server: Server, options: ChatOptions) -> int:
    """Sends each line of standard input; ends when all have come back from the room."""
    output = Output()
    async with client_for(server) as client:
        conversation = Conversation(
            client, options.room, options.name, show=output.write_line, tell=say
        )
        return await _first_of(conversation.listen(), _send_lines(conversation, server.timeout))


async def _send_lines(conversation: Conversation, timeout: float) -> int:  # noqa: ASYNC109
    """Sends the lines that can be sent; reports the others, each with its number."""
    exit_code = OK
    await conversation.joined()
    try:
        async for line in input_lines(sys.stdin.fileno(), MAX_INPUT_BYTES):
            if fault := line.fault or (line.text.strip() and await _fault_of(line, conversation)):
                say(f"line {line.number} was not sent: {fault}")
                exit_code = REFUSED
    except OSError as error:
        raise CommandError(f"can't read standard input: {error.strerror or error}") from None
    try:
        async with asyncio.timeout(timeout):
            await conversation.all_shown()
    except TimeoutError:
        raise NoAnswerError(timeout) from None
    return exit_code


async def _fault_of(line: InputLine, conversation: Conversation) -> str:
    """Sends a line; returns the fault that the server finds in its text, empty if none.

    Raises:
        CommandError: another fault, which later lines would have too.
    """
    try:
        await conversation.say(line.text)
    except ClientError as error:
        if isinstance(error, RequestRefusedError) and error.concerns_only("text"):
            return describe(error)
        words, exit_code = outcome(error)
        sent = "not sent" if isinstance(error, RequestRefusedError) else "perhaps not sent"
        rest = "and none after it was"
        raise CommandError(f"line {line.number} was {sent}, {rest}: {words}", exit_code) from None
    return ""


async def _first_of(
    listening: Coroutine[None, None, None], speaking: Coroutine[None, None, int]
) -> int:
    """Runs both until one ends; raises its error, or returns the exit code of the second."""
    listener, speaker = asyncio.create_task(listening), asyncio.create_task(speaking)
    try:
        await asyncio.wait((listener, speaker), return_when=asyncio.FIRST_COMPLETED)
    finally:
        unfinished = [task for task in (listener, speaker) if task.cancel()]
        await asyncio.gather(*unfinished, return_exceptions=True)
    if listener not in unfinished:
        listener.result()
    return speaker.result()
