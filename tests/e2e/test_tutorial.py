from pathlib import Path

import pytest

from tests.support.local_stack import LocalStack
from tests.support.reading_client import ReadingClient
from tests.support.sending import send_all
from tests.support.tutorial_client import TutorialClient


@pytest.mark.parametrize("port", ["tutorial_port", "port"])
async def test_clients_of_the_tutorial_hear_the_whole_history_and_each_other(
    stack: LocalStack, tutorial_stubs: Path, port: str
) -> None:
    number = getattr(stack, port)
    async with ReadingClient(stack.target, "lobby", from_start=True) as before:
        history = [f"[{note.author}] {note.text}" for note in before.notes]
        await send_all([stack.target], "lobby", [f"from before, {port}"])
        await before.holds(len(history) + 1)
        history.append(f"[author 0] from before, {port}")
        with (
            TutorialClient(tutorial_stubs, number, "ann") as ann,
            TutorialClient(tutorial_stubs, number, "ben") as ben,
        ):
            for client in (ann, ben):
                assert [client.hear() for _ in history] == history
            ann.say("hello")
            for client in (ann, ben):
                assert client.hear() == "[ann] hello"
            ben.say("good day")
            for client in (ann, ben):
                assert client.hear() == "[ben] good day"
        await before.holds(len(history) + 2)
    assert before.texts[-2:] == ["hello", "good day"]
