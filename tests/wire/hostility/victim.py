"""A server in a process of its own, for hostile peers, and what can be seen of it from outside."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop
from grpc import aio

import notecast_wire
from notecast_runtime.logs import configure_logs
from notecast_runtime.server import stop_on_signals
from tests.support import bytes_service
from tests.support.census import processor_seconds, resident_bytes

Call = aio.UnaryUnaryMultiCallable[bytes, bytes]

_STOP_SECONDS = 10

_OPTIONS = (
    # Short, so that who says nothing need not be waited for.
    ("grpc.server_handshake_timeout_ms", 1_000),
    ("grpc.keepalive_time_ms", 1_000),
    ("grpc.keepalive_timeout_ms", 1_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("notecast_wire.request_timeout_ms", 1_500),
)


class Victim:
    """The running server.

    Attributes:
        pid: of its process.
        port: where it listens.
    """

    def __init__(self, pid: int, port: int) -> None:
        self.pid = pid
        self.port = port

    @property
    def target(self) -> str:
        """Its address."""
        return f"127.0.0.1:{self.port}"

    @property
    def resident_bytes(self) -> int:
        """The memory that it holds."""
        return resident_bytes(self.pid)

    @property
    def peak_bytes(self) -> int:
        """The most that it held since `forget_peak` (Linux: proc(5), VmHWM)."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    def forget_peak(self) -> None:
        """Begins anew to look for the peak (Linux: proc(5), clear_refs)."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    @property
    def cpu_seconds(self) -> float:
        """What it has used of the processors."""
        return processor_seconds(self.pid)

    async def census(self, channel: aio.Channel) -> dict[str, int]:
        """What lives in it."""
        call: Call = channel.unary_unary(f"/{bytes_service.NAME}/Census")
        census: dict[str, int] = json.loads(await call(b"", timeout=10))
        return census


@contextmanager
def victim() -> Iterator[Victim]:
    """Runs one while the block lasts. It must live to the end, and end when it is told to."""
    process = subprocess.Popen([sys.executable, "-m", __name__], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        with process.stdout:
            yield Victim(process.pid, int(process.stdout.readline()))
        assert process.poll() is None, "the server has died"
        process.terminate()
        assert process.wait(_STOP_SECONDS) == 0
    finally:
        process.kill()
        process.wait()


async def _serve() -> None:
    configure_logs("victim", "warning")
    server = notecast_wire.server(options=_OPTIONS)
    server.add_generic_rpc_handlers((bytes_service.handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await stop_on_signals().wait()
    await server.stop(0.5)


if __name__ == "__main__":
    uvloop.run(_serve())
