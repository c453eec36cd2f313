"""The stack of deploy/docker-compose.yml in containers, and what an operator does with it."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from testcontainers.compose import DockerCompose

from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ("notecast/chat-gateway", "notecast/history")

_COMPOSE_SECONDS = 180
_DOCKER_SECONDS = 60


def engine_fault() -> str | None:
    """Why there is no engine to run containers, or None where there is one."""
    if shutil.which("docker") is None:
        return "there is no docker command"
    for command in (["docker", "info"], ["docker", "compose", "version"]):
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        if answer.returncode:
            return f"`{' '.join(command)}` fails: {answer.stderr.strip()}"
    return None


def docker(*words: str) -> str:
    """Runs `docker` with these words; returns its output."""
    done = subprocess.run(
        ["docker", *words], capture_output=True, text=True, timeout=_DOCKER_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class Containers:
    """The running stack, and what an operator does with it."""

    def __init__(self, compose: DockerCompose, port: int, tutorial_port: int) -> None:
        self._compose = compose
        self.target = f"127.0.0.1:{port}"
        self.tutorial_port = tutorial_port

    def scale(self, gateways: int) -> None:
        """Runs that many gateways, and returns when all are healthy."""
        self.compose("up", "--detach", "--wait", "--scale", f"chat-gateway={gateways}")

    def gateways(self) -> list[str]:
        """The ids of the running gateway containers."""
        return self.of("chat-gateway")

    def of(self, service: str) -> list[str]:
        """The ids of a service's running containers."""
        return self.compose("ps", "--quiet", service).split()

    def kill(self, container: str) -> None:
        """SIGKILL; it stays away until `mend`."""
        docker("kill", "--signal", "KILL", container)

    def restart(self, container: str) -> None:
        """SIGTERM, the time to end, and a start."""
        docker("restart", "--time", "30", container)

    def mend(self) -> None:
        """Starts everything again that should run."""
        self.compose("up", "--detach", "--wait", "--no-recreate")

    def redis(self, *words: str) -> str:
        """Asks Redis; returns its answer."""
        return self.compose("exec", "--no-TTY", "redis", "redis-cli", "--raw", *words).strip()

    def ready_gateways(self) -> int:
        """How many gateways Envoy gives calls to."""
        return self._of_each_gateway("health_flags").count("healthy")

    def open_streams(self) -> list[int]:
        """How many calls each gateway has open, as Envoy counts them."""
        return [int(count) for count in self._of_each_gateway("rq_active")]

    def _of_each_gateway(self, name: str) -> list[str]:
        return re.findall(rf"^chat-gateway::[\d.:]+::{name}::(.*)$", self._stats(), re.MULTILINE)

    def _stats(self) -> str:
        request = r"GET /clusters HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        talk = f"exec 3<>/dev/tcp/127.0.0.1/9901; printf '{request}' >&3; cat <&3"
        return self.compose("exec", "--no-TTY", "envoy", "bash", "-c", talk)

    def compose(self, *arguments: str) -> str:
        """Runs `docker compose` with these arguments; returns its output."""
        command = [*self._compose.docker_compose_command(), *arguments]
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=_COMPOSE_SECONDS, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def require_engine() -> None:
    """Skips the test where there is no engine, and fails it where there has to be one."""
    fault = engine_fault()
    if fault and os.environ.get("NOTECAST_REQUIRE_CONTAINERS") == "1":
        pytest.fail(f"container tests must run here, and {fault}")
    if fault:
        pytest.skip(f"no container engine: {fault}")


@contextmanager
def running_containers(
    *files: str, environment: Mapping[str, str] | None = None
) -> Iterator[Containers]:
    """The stack with a name and ports of its own; nothing of it is left afterwards.

    Args:
        files: compose files, from the root of the tree; the first alone is what it all begins with.
        environment: what they are told beside that.
    """
    with pytest.MonkeyPatch.context() as variables:
        ports = free_port(), free_port()
        chosen = {
            "COMPOSE_PROJECT_NAME": f"notecast-test-{os.getpid()}-{ports[0]}",
            "NOTECAST_PORT": f"127.0.0.1:{ports[0]}",
            "NOTECAST_TUTORIAL_PORT": f"127.0.0.1:{ports[1]}",
            # Stacks side by side have networks of their own.
            "NOTECAST_FRONT": f"10.213.{ports[0] % 256}",
        }
        for name, value in {**chosen, **(environment or {})}.items():
            variables.setenv(name, value)
        with DockerCompose(
            ROOT, compose_file_name=list(files or ("compose.yaml",)), build=True, wait=True
        ) as compose:
            yield Containers(compose, *ports)
