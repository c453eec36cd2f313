import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from notecast_local.child import Program
from notecast_local.errors import ChildDiedError, ChildNotReadyError
from notecast_local.supervisor import StopRequests, Supervisor
from tests.support.processes import children_of, lives
from tests.support.waiting import eventually

# Says in a file that it has begun, and that it was asked to end.
ORDERLY = """
import pathlib, signal, sys
name, diary = sys.argv[1], pathlib.Path(sys.argv[2])
def write(word):
    with diary.open("a") as file:
        file.write(f"{name} {word}\\n")
def end(*_):
    write("ends")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
write("begins")
pathlib.Path(sys.argv[2] + "." + name).touch()
while True:
    signal.pause()
"""

STUBBORN = """
import pathlib, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[2] + "." + sys.argv[1]).touch()
while True:
    signal.pause()
"""


class Log:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def starting(self, names: Sequence[str]) -> None:
        self.lines.append(f"starting {' '.join(names)}")

    def ready(self, names: Sequence[str], seconds: float) -> None:
        assert seconds >= 0
        self.lines.append(f"ready {' '.join(names)}")

    def stopping(self) -> None:
        self.lines.append("stopping")

    def killed(self, name: str) -> None:
        self.lines.append(f"killed {name}")


class StandIns:
    """A stack of stand-ins: what they write, and who reports."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.diary = folder / "diary"
        self.log = Log()
        self.requests = StopRequests()

    def program(self, name: str, source: str = ORDERLY) -> Program:
        marker = Path(f"{self.diary}.{name}")

        async def is_ready() -> bool:
            return marker.exists()  # noqa: ASYNC240 - a look at the local disk

        command = (sys.executable, "-c", source, name, str(self.diary))
        return Program(name, command, dict(os.environ), is_ready)

    async def run(self, *stages: Sequence[Program], **limits: float) -> None:
        """Runs the stages, and asks to stop as soon as they are ready."""
        await self.supervisor(**limits).run(
            stages, on_ready=lambda: self.requests.request(impatient=False)
        )

    def supervisor(self, **limits: float) -> Supervisor:
        return Supervisor(self.folder, self.requests, self.log, **limits)


@pytest.fixture
def stand_ins(tmp_path: Path) -> StandIns:
    return StandIns(tmp_path)


async def test_programs_start_in_order_and_stop_in_the_opposite_one(stand_ins: StandIns) -> None:
    await stand_ins.run(
        [stand_ins.program("a")], [stand_ins.program("b")], [stand_ins.program("c")]
    )
    assert stand_ins.diary.read_text().split("\n")[:-1] == [
        *("a begins", "b begins", "c begins"),
        *("c ends", "b ends", "a ends"),
    ]
    assert stand_ins.log.lines == [
        *("starting a", "ready a", "starting b", "ready b", "starting c", "ready c"),
        "stopping",
    ]


async def test_a_child_that_dies_is_named_with_its_exit_code_and_last_words(
    stand_ins: StandIns,
) -> None:
    dying = stand_ins.program("b", "import sys; print('no room', flush=True); sys.exit(7)")
    with pytest.raises(ChildDiedError) as died:
        await stand_ins.run([stand_ins.program("a")], [dying])
    assert str(died.value).startswith("b died: exit code 7. The last lines of ")
    assert str(died.value).endswith("/b.log:\n    no room")


async def test_when_one_child_dies_the_others_are_stopped(stand_ins: StandIns) -> None:
    with pytest.raises(ChildDiedError):
        await stand_ins.run(
            [stand_ins.program("a")], [stand_ins.program("b", "raise SystemExit(1)")]
        )
    assert stand_ins.diary.read_text() == "a begins\na ends\n"


async def test_a_child_that_was_killed_is_named_with_the_signal(stand_ins: StandIns) -> None:
    shot = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    with pytest.raises(ChildDiedError, match="b died: killed by SIGKILL"):
        await stand_ins.run([stand_ins.program("b", shot)])


async def test_a_child_that_dies_after_it_was_ready_ends_the_run_too(stand_ins: StandIns) -> None:
    leaving = """
    import pathlib, sys
    pathlib.Path(sys.argv[2] + ".b").touch()
    """
    running = stand_ins.supervisor().run(
        [[stand_ins.program("a")], [stand_ins.program("b", textwrap.dedent(leaving))]],
        on_ready=lambda: None,
    )
    with pytest.raises(ChildDiedError, match="b died: exit code 0"):
        await asyncio.wait_for(running, timeout=20)


async def test_a_child_that_does_not_become_ready_is_named(stand_ins: StandIns) -> None:
    idle = "import signal\nwhile True: signal.pause()"
    with pytest.raises(ChildNotReadyError, match=r"b is not ready after 2 s"):
        await stand_ins.run(
            [stand_ins.program("a")], [stand_ins.program("b", idle)], ready_seconds=2
        )
    assert stand_ins.diary.read_text() == "a begins\na ends\n"


async def test_a_child_that_will_not_end_is_killed_in_the_end(stand_ins: StandIns) -> None:
    await stand_ins.run([stand_ins.program("a", STUBBORN)], stop_seconds=0.2)
    assert stand_ins.log.lines[-2:] == ["stopping", "killed a"]


async def test_a_second_wish_to_stop_does_not_wait(stand_ins: StandIns) -> None:
    began = time.monotonic()
    running = asyncio.create_task(
        stand_ins.run(
            [stand_ins.program("a", STUBBORN)], [stand_ins.program("b", STUBBORN)], stop_seconds=60
        )
    )
    await eventually(lambda: "stopping" in stand_ins.log.lines, "it stops")
    stand_ins.requests.request(impatient=True)
    await running
    assert stand_ins.log.lines[-2:] == ["killed b", "killed a"]
    assert time.monotonic() - began < 30


async def test_a_wish_to_stop_while_it_starts_is_heard(stand_ins: StandIns) -> None:
    idle = "import signal\nwhile True: signal.pause()"
    running = asyncio.create_task(
        stand_ins.run([stand_ins.program("a")], [stand_ins.program("b", idle)])
    )
    await eventually(lambda: "starting b" in stand_ins.log.lines, "b is started")
    stand_ins.requests.request(impatient=False)
    await asyncio.wait_for(running, timeout=20)
    assert "ready b" not in stand_ins.log.lines


async def test_a_log_begins_anew_with_each_start(stand_ins: StandIns) -> None:
    (stand_ins.folder / "a.log").write_text("from before")
    await stand_ins.run([stand_ins.program("a")])
    assert (stand_ins.folder / "a.log").read_text() == ""


SUPERVISING = """
import asyncio, os, pathlib, sys
from notecast_local.child import Child, Program
async def ready():
    return True
async def main():
    command = (sys.executable, "-c", "import signal; signal.signal(15, signal.SIG_IGN);"
        "print('here', flush=True); signal.pause()")
    child = await Child.start(Program("a", command, dict(os.environ), ready), pathlib.Path("."))
    while "here" not in child.last_lines():
        await asyncio.sleep(0.01)
    print(child._process.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


async def test_no_child_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(  # noqa: ASYNC220 - nothing else runs here
        [sys.executable, "-c", SUPERVISING], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as supervisor:
        assert supervisor.stdout is not None
        child = psutil.Process(int(supervisor.stdout.readline()))
        assert lives(child)
        supervisor.send_signal(signal.SIGKILL)
    await eventually(lambda: not lives(child), "the child is gone", seconds=5)


async def test_ctrl_c_at_the_terminal_reaches_no_child(stand_ins: StandIns) -> None:
    seen: list[int] = []
    others = {child.pid for child in children_of(os.getpid())}

    async def stop_when_begun() -> None:
        await eventually(stand_ins.diary.exists, "a has begun")
        (child,) = [each for each in children_of(os.getpid()) if each.pid not in others]
        seen.append(os.getsid(child.pid))
        stand_ins.requests.request(impatient=False)

    await asyncio.gather(
        stand_ins.supervisor().run([[stand_ins.program("a")]], on_ready=lambda: None),
        stop_when_begun(),
    )
    assert os.getsid(0) not in seen
