"""The tutorial's client, from its own contract, in a process that knows no other."""

import subprocess
import sys
from pathlib import Path
from queue import Queue
from threading import Thread
from types import TracebackType
from typing import Self

TUTORIAL = Path(__file__).resolve().parent.parent / "e2e" / "tutorial"

_HEAR_SECONDS = 20.0


def generate_stubs(into: Path) -> None:
    """Does what the tutorial tells its reader to do with its proto file."""
    subprocess.run(
        [
            *(sys.executable, "-m", "grpc_tools.protoc", f"-I{TUTORIAL}"),
            *(f"--python_out={into}", f"--grpc_python_out={into}", "chat.proto"),
        ],
        check=True,
        timeout=60,
    )


class TutorialClient:
    """Runs from entering to leaving."""

    def __init__(self, stubs: Path, port: int, name: str) -> None:
        self._command = [sys.executable, str(TUTORIAL / "client.py"), str(stubs), str(port), name]
        self._heard: Queue[str] = Queue()

    def say(self, message: str) -> None:
        """Sends a note."""
        assert self._process.stdin is not None
        self._process.stdin.write(message + "\n")
        self._process.stdin.flush()

    def hear(self) -> str:
        """The next note that it prints, as `[name] message`."""
        return self._heard.get(timeout=_HEAR_SECONDS)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._heard.put(line.rstrip("\n"))

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._listener = Thread(target=self._listen, daemon=True)
        self._listener.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait(timeout=10)
        self._listener.join(timeout=10)
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()
