"""Whoever runs the containers can set whatever the services can be told."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from chat_gateway.settings import GatewaySettings
from history.settings import HistorySettings
from notecast_runtime.settings import ServiceSettings, variable_of

ROOT = Path(__file__).parents[3]
FIXED_INSIDE_A_CONTAINER = {"NOTECAST_LISTEN_HOST", "NOTECAST_LISTEN_PORT"}

SERVICES = [("chat-gateway", GatewaySettings), ("history", HistorySettings)]


def variables(settings: type[ServiceSettings]) -> set[str]:
    return {variable_of(name) for name in settings.model_fields}


@pytest.mark.parametrize(("service", "settings"), SERVICES)
def test_compose_hands_on_every_setting_and_no_other(
    service: str, settings: type[ServiceSettings]
) -> None:
    compose: Any = yaml.safe_load((ROOT / "deploy/docker-compose.yml").read_text())
    handed_on = set(compose["services"][service]["environment"])
    assert handed_on == variables(settings) - FIXED_INSIDE_A_CONTAINER


@pytest.mark.parametrize(("service", "settings"), SERVICES)
def test_the_readme_tells_of_every_setting_and_no_other(
    service: str, settings: type[ServiceSettings]
) -> None:
    readme = (ROOT / "services" / service / "README.md").read_text()
    told = set(re.findall(r"`(NOTECAST_[A-Z_]+)`", readme))
    assert told == variables(settings)
