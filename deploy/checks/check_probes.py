"""Probes ask what the code answers to, on ports that are there."""

from collections.abc import Iterator
from typing import Any

from deploy.checks.facts import Facts, Program
from deploy.checks.findings import Finding
from deploy.checks.manifests import Manifests, Object, Workload, probes
from notecast_runtime.health import LIVENESS, READINESS

_ASKS = {
    "startupProbe": LIVENESS,
    # What kills a pod must not depend on Redis, or its restart would restart every pod.
    "livenessProbe": LIVENESS,
    "readinessProbe": READINESS,
}


def check_probes(manifests: Manifests, facts: Facts) -> Iterator[Finding]:
    """Finds probes that can't succeed, that ask the wrong thing, and those that are missing."""
    for workload in manifests.workloads:
        for container in workload.containers:
            program = facts.programs.get(container["name"])
            yield from _missing(workload, container, program)
            for name, probe in probes(container):
                yield from _port(workload, name, probe)
                if program is not None:
                    yield from _service(workload, name, probe, program)


def _missing(workload: Workload, container: Object, program: Program | None) -> Iterator[Finding]:
    wanted = _ASKS if program else ("livenessProbe", "readinessProbe")
    for name in wanted:
        if name not in container:
            yield Finding(workload.where, f"the container {container['name']} has no {name}")


def _port(workload: Workload, name: str, probe: Any) -> Iterator[Finding]:  # noqa: ANN401 - of the manifest
    for way in ("grpc", "tcpSocket", "httpGet"):
        port = probe.get(way, {}).get("port")
        if port is not None and workload.port(port) is None:
            yield Finding(workload.where, f"{name} asks on port {port}, which no container has")


def _service(
    workload: Workload,
    name: str,
    probe: Any,  # noqa: ANN401 - of the manifest
    program: Program,
) -> Iterator[Finding]:
    if "grpc" not in probe:
        yield Finding(workload.where, f"{name} does not ask by gRPC")
        return
    service = probe["grpc"].get("service", "")
    if service not in program.health_names:
        known = ", ".join(sorted(filter(None, program.health_names)))
        yield Finding(
            workload.where, f"{name} asks for {service!r}, which is unknown there ({known})"
        )
    elif service != _ASKS[name]:
        yield Finding(workload.where, f"{name} asks for {service!r} instead of {_ASKS[name]!r}")
