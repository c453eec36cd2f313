"""The local stack as a user starts it: `python -m notecast_local`, in a process of its own."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tests.support.ports import free_port
from tests.support.processes import children_of

_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_LOG_CHARACTERS = 3_000


class LocalStack:
    """Starts on entering and ends on leaving; the data stay while it is stopped in between.

    Args:
        folder: for what it says.
        data: for its data, if these are to be elsewhere.
        command: what starts it.
        inherited: the environment that it would have anyhow.
        environment: settings, beside those.

    Attributes:
        port: for clients.
        tutorial_port: for clients of the tutorial.
        data: the folder of its data.
    """

    def __init__(
        self,
        folder: Path,
        data: Path | None = None,
        *,
        command: Sequence[str] = (sys.executable, "-m", "notecast_local"),
        inherited: Mapping[str, str] = os.environ,
        **environment: str,
    ) -> None:
        self.port = free_port()
        self.tutorial_port = free_port()
        self.data = data or folder / "run"
        self._folder = folder
        self._command = command
        self._inherited = inherited
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def target(self) -> str:
        """Envoy's address."""
        return f"127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        """What it has said so far."""
        return (self._folder / "output").read_text()

    @property
    def logs(self) -> list[tuple[str, str]]:
        """The end of what each of its programs has said so far, with the file's name."""
        files = sorted((self.data / "log").glob("*.log"))
        return [(file.name, file.read_text(errors="replace")[-_LOG_CHARACTERS:]) for file in files]

    @property
    def gateways(self) -> list[str]:
        """The gateways' own addresses, as it names them."""
        line = re.search(r"^  gateways +(.*?) \(", self.output, re.MULTILINE)
        assert line is not None
        return line[1].split(", ")

    @property
    def children(self) -> list[psutil.Process]:
        """The processes that it runs."""
        assert self._process is not None
        return children_of(self._process.pid)

    def start(self) -> None:
        """Starts it, and returns when it says how to chat."""
        self._spawn()
        self.wait_to_say("Ctrl-C stops everything")

    def start_in_vain(self) -> int:
        """Starts it, and returns its exit code when it has ended."""
        self._spawn()
        assert self._process is not None
        return self._process.wait(timeout=_START_SECONDS)

    def wait(self) -> int:
        """Returns its exit code once it has ended by itself."""
        assert self._process is not None
        return self._process.wait(timeout=_STOP_SECONDS)

    def wait_to_say(self, words: str) -> None:
        """Returns once it has said that."""
        deadline = time.monotonic() + _START_SECONDS
        while words not in self.output:
            assert self._process is not None
            assert self._process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.05)

    def press_ctrl_c(self) -> None:
        """What a terminal does: SIGINT for the whole process group."""
        self.send(signal.SIGINT)

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to it, as part of its process group."""
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def stop(self) -> int:
        """Stops it in an orderly way; returns its exit code."""
        self.press_ctrl_c()
        return self.wait()

    def kill(self) -> None:
        """Ends the supervisor without a word."""
        self.send(signal.SIGKILL)
        self.wait()

    def _spawn(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        with _sighup_as_on_a_terminal(), (self._folder / "output").open("wb") as output:
            self._process = subprocess.Popen(
                [
                    *(*self._command, "--data", str(self.data)),
                    *("--port", str(self.port), "--tutorial-port", str(self.tutorial_port)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**self._inherited, **self._environment},
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()


@contextmanager
def _sighup_as_on_a_terminal() -> Iterator[None]:
    """Tests that run under nohup would hand on that the signal is to be ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
