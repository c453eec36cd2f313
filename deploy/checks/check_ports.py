"""Ports and names agree: settings, containers, Services, Envoy's configuration, addresses."""

from collections.abc import Iterator
from typing import Any

import yaml

from deploy.checks.facts import Facts
from deploy.checks.findings import Finding
from deploy.checks.manifests import Manifests, Object, Workload, host_and_port, where

_ENVOY_FILE = "envoy.yaml"


def check_ports(manifests: Manifests, facts: Facts) -> Iterator[Finding]:
    """Finds ports that nobody listens on, and addresses that lead nowhere."""
    for workload in manifests.workloads:
        for container in workload.containers:
            if container["name"] in facts.programs:
                yield from _listening(manifests, facts, workload, container)
                yield from _addresses(manifests, workload, container)
    for service in manifests.of_kind("Service"):
        yield from _service(manifests, service)
    yield from _envoy(manifests)


def _listening(
    manifests: Manifests, facts: Facts, workload: Workload, container: Object
) -> Iterator[Finding]:
    program = facts.programs[container["name"]]
    listens = program.value("listen_port", manifests.environment(container))
    if set(workload.ports) != {listens}:
        ports = sorted(workload.ports)
        yield Finding(
            workload.where, f"the program listens on {listens}, and the container has {ports}"
        )
    if program.exposed_port != listens:
        yield Finding(workload.where, f"it listens on {listens}; its image: {program.exposed_port}")


def _addresses(manifests: Manifests, workload: Workload, container: Object) -> Iterator[Finding]:
    for variable, value in manifests.environment(container).items():
        if value is None or not variable.endswith(("_URL", "_TARGET")):
            continue
        address = host_and_port(value)
        if address is None or not manifests.serves(*address):
            yield Finding(workload.where, f"{variable}={value} leads to no Service's port")


def _service(manifests: Manifests, service: Object) -> Iterator[Finding]:
    selector = {"matchLabels": service["spec"].get("selector", {})}
    for workload in manifests.selected(selector):
        for port in service["spec"]["ports"]:
            target = port.get("targetPort", port["port"])
            number = workload.port(target)
            if number is None:
                yield Finding(where(service), f"{workload.name} has no port {target}")
            elif service["spec"].get("clusterIP") == "None" and number != port["port"]:
                # A name that stands for pods leads to them directly: nothing maps ports.
                yield Finding(
                    where(service), f"it is headless: {port['port']} does not lead to {number}"
                )


def _envoy(manifests: Manifests) -> Iterator[Finding]:
    """What Envoy's configuration listens on and calls is what the manifests say."""
    mounted = 0
    for workload in manifests.workloads:
        for configuration in _envoy_configurations(manifests, workload):
            mounted += 1
            listens = set(_listener_ports(configuration))
            if listens != set(workload.ports):
                yield Finding(
                    workload.where,
                    f"Envoy listens on {sorted(listens)}, the container has"
                    f" {sorted(workload.ports)}",
                )
            for host, port in _upstreams(configuration):
                yield from _upstream(manifests, workload, host, port)
    if not mounted:
        yield Finding("Deployment/envoy", f"no pod mounts a ConfigMap with {_ENVOY_FILE}")


def _upstream(manifests: Manifests, workload: Workload, host: str, port: int) -> Iterator[Finding]:
    service = manifests.find("Service", host)
    if not manifests.serves(host, port):
        yield Finding(workload.where, f"Envoy calls {host}:{port}, which no Service takes")
    elif service and service["spec"].get("clusterIP") != "None":
        yield Finding(f"Service/{host}", "it is not headless, so Envoy can't see each replica")


def _envoy_configurations(manifests: Manifests, workload: Workload) -> Iterator[Any]:
    for volume in workload.pod.get("volumes", []):
        name = volume.get("configMap", {}).get("name", "")
        data = (manifests.find("ConfigMap", name) or {}).get("data", {})
        if _ENVOY_FILE in data:
            yield yaml.safe_load(data[_ENVOY_FILE])


def _listener_ports(configuration: Any) -> Iterator[int]:  # noqa: ANN401 - of the file
    for listener in configuration["static_resources"]["listeners"]:
        addresses = [listener, *listener.get("additional_addresses", [])]
        yield from (a["address"]["socket_address"]["port_value"] for a in addresses)


def _upstreams(configuration: Any) -> Iterator[tuple[str, int]]:  # noqa: ANN401 - of the file
    for cluster in configuration["static_resources"]["clusters"]:
        for locality in cluster["load_assignment"]["endpoints"]:
            for endpoint in locality["lb_endpoints"]:
                address = endpoint["endpoint"]["address"]["socket_address"]
                yield address["address"], address["port_value"]
