"""Facts of the code that manifests have to agree with: settings, health names, users, ports."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from chat_gateway.api.handlers import SERVICES as GATEWAY_SERVICES
from chat_gateway.settings import GatewaySettings
from history.service import SERVICE as HISTORY_SERVICE
from history.settings import HistorySettings
from notecast_runtime.health import LIVENESS, READINESS
from notecast_runtime.settings import ServiceSettings, variable_of

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "deploy" / "k8s"


class Program(NamedTuple):
    """One of our own services."""

    settings: type[ServiceSettings]
    health_names: frozenset[str]
    """The names that its health service knows."""

    user: int
    """The uid that its image runs with."""

    exposed_port: int
    """The port that its image names."""

    @property
    def variables(self) -> dict[str, str]:
        """The settings' fields by the names of their variables."""
        return {variable_of(name): name for name in self.settings.model_fields}

    def value(self, field: str, environment: Mapping[str, str | None]) -> Any:  # noqa: ANN401 - any setting's
        """A setting's value: what the environment says, or the default."""
        default = self.settings.model_fields[field].default
        said = environment.get(variable_of(field))
        return default if said is None else type(default)(said)


class Facts(NamedTuple):
    """All that is known of the code."""

    programs: Mapping[str, Program]
    """By the name of image, container and workload."""

    at_default: Mapping[str, Mapping[str, str]]
    """By program, the variables that no manifest names, each with the reason."""


def read_facts() -> Facts:
    """Reads the code that stands beside the manifests.

    Raises:
        OSError: a file is missing.
        ValueError: a Dockerfile names no user or port.
    """
    at_default = yaml.safe_load((MANIFESTS / "settings-at-default.yaml").read_text())
    return Facts(
        {
            "chat-gateway": _program("chat-gateway", GatewaySettings, GATEWAY_SERVICES),
            "history": _program("history", HistorySettings, (HISTORY_SERVICE,)),
        },
        at_default,
    )


def _program(name: str, settings: type[ServiceSettings], services: tuple[str, ...]) -> Program:
    dockerfile = (ROOT / "services" / name / "Dockerfile").read_text()
    user = re.search(r"^USER (\d+)", dockerfile, re.MULTILINE)
    port = re.search(r"^EXPOSE (\d+)", dockerfile, re.MULTILINE)
    if user is None or port is None:
        raise ValueError(f"the Dockerfile of {name} names no user by number, or no port")
    names = frozenset({"", LIVENESS, READINESS, *services})
    return Program(settings, names, int(user[1]), int(port[1]))
