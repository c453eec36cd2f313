"""How the local stack starts, and above all how it ends."""

import os
import signal
import socket
import time
from pathlib import Path

import psutil
import pytest

from tests.support.local_stack import LocalStack
from tests.support.processes import lives
from tests.support.reading_client import ReadingClient
from tests.support.sending import send_all
from tests.support.waiting import eventually


def named(children: list[psutil.Process], word: str) -> psutil.Process:
    (child,) = [child for child in children if any(word in part for part in child.cmdline())]
    return child


async def test_ctrl_c_stops_everything_while_clients_read_and_notes_survive(
    tmp_path: Path,
) -> None:
    texts = [f"note {number}" for number in range(50)]
    with LocalStack(tmp_path) as stack:
        children = stack.children
        assert len(children) == 5
        async with ReadingClient(stack.target, "kept") as reader:
            await send_all([stack.target], "kept", texts)
            await reader.holds(50)
            began = time.monotonic()
            assert stack.stop() == 0
        assert time.monotonic() - began < 10
        assert stack.output.endswith("stopped\n")
        assert "killed" not in stack.output
        assert [child for child in children if lives(child)] == []
        stack.start()
        async with ReadingClient(stack.target, "kept", from_start=True) as later:
            await later.holds(50)
        assert later.notes == reader.notes


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["SIGTERM", "SIGHUP"])
def test_sigterm_and_the_end_of_the_terminal_stop_everything_too(
    tmp_path: Path, number: signal.Signals
) -> None:
    with LocalStack(tmp_path) as stack:
        children = stack.children
        stack.send(number)
        assert stack.wait() == 0
        assert "killed" not in stack.output
        assert [child for child in children if lives(child)] == []


def test_a_second_ctrl_c_does_not_wait_for_a_child_that_hangs(tmp_path: Path) -> None:
    with LocalStack(tmp_path) as stack:
        children = stack.children
        os.kill(named(children, "envoy").pid, signal.SIGSTOP)
        stack.press_ctrl_c()
        stack.wait_to_say("stopping")
        stack.press_ctrl_c()
        assert stack.wait() == 0
        assert "killed envoy" in stack.output
        assert [child for child in children if lives(child)] == []


async def test_no_process_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    with LocalStack(tmp_path) as stack:
        children = stack.children
        assert len(children) == 5
        stack.kill()
        await eventually(lambda: not any(lives(child) for child in children), "all are gone", 5)


def test_a_child_that_dies_is_named_and_takes_the_stack_with_it(tmp_path: Path) -> None:
    with LocalStack(tmp_path) as stack:
        children = stack.children
        os.kill(named(children, "history").pid, signal.SIGKILL)
        assert stack.wait() == 1
        assert "history died: killed by SIGKILL. The last lines of" in stack.output
        assert [child for child in children if lives(child)] == []


def test_a_wrong_setting_of_a_service_is_shown_to_the_person_that_started_the_stack(
    tmp_path: Path,
) -> None:
    stack = LocalStack(tmp_path, NOTECAST_RETENTION_NOTES="many")
    assert stack.start_in_vain() == 1
    assert "history died: exit code 2" in stack.output
    assert "NOTECAST_RETENTION_NOTES='many' is not allowed" in stack.output


def test_a_taken_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    stack = LocalStack(tmp_path)
    with socket.create_server(("127.0.0.1", stack.port)):
        assert stack.start_in_vain() == 1
    assert f"port {stack.port} (for clients) is not free" in stack.output
    assert "ready" not in stack.output


def test_a_second_stack_on_the_same_data_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    with LocalStack(tmp_path / "first") as first:
        second = LocalStack(tmp_path / "second", data=first.data)
        assert second.start_in_vain() == 1
        assert "a local stack runs already with the data in" in second.output
        assert len(first.children) == 5
