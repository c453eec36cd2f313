"""Rendered manifests, and the questions that checks ask of them. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

NAME_LABEL = "app.kubernetes.io/name"
"""The label that says which part a pod is of."""

Object = Mapping[str, Any]
"""A manifest, or a part of one."""


class Workload(NamedTuple):
    """An object that makes pods: a Deployment or a StatefulSet."""

    manifest: Object

    @property
    def name(self) -> str:
        """Its name, which is its part's as well."""
        return str(self.manifest["metadata"]["name"])

    @property
    def where(self) -> str:
        """For findings."""
        return where(self.manifest)

    @property
    def labels(self) -> Mapping[str, str]:
        """Of its pods."""
        labels: Mapping[str, str] = self.manifest["spec"]["template"]["metadata"]["labels"]
        return labels

    @property
    def pod(self) -> Any:  # noqa: ANN401 - of the manifest
        """The spec of its pods."""
        return self.manifest["spec"]["template"]["spec"]

    @property
    def containers(self) -> Sequence[Any]:
        """Of its pods."""
        containers: Sequence[Any] = self.pod["containers"]
        return containers

    @property
    def ports(self) -> dict[int, str]:
        """The containers' ports: the names by the numbers."""
        return {
            port["containerPort"]: port.get("name", "")
            for container in self.containers
            for port in container.get("ports", [])
        }

    def port(self, named: int | str) -> int | None:
        """The number of a port that is given by name or number; None where there is none."""
        numbers = [number for number, name in self.ports.items() if named in {number, name}]
        return numbers[0] if numbers else None


class Manifests:
    """One overlay, rendered.

    Args:
        objects: its manifests.
    """

    def __init__(self, objects: Sequence[Object]) -> None:
        self.objects = objects

    def of_kind(self, *kinds: str) -> list[Any]:
        """All objects of these kinds."""
        return [o for o in self.objects if o["kind"] in kinds]

    def find(self, kind: str, name: str) -> Any | None:  # noqa: ANN401 - a manifest
        """The object of that kind and name, or None."""
        found = [o for o in self.of_kind(kind) if o["metadata"]["name"] == name]
        return found[0] if found else None

    @property
    def workloads(self) -> list[Workload]:
        """All that make pods."""
        return [Workload(o) for o in self.of_kind("Deployment", "StatefulSet")]

    def selected(self, selector: Object) -> list[Workload]:
        """The workloads whose pods a label selector takes."""
        return [w for w in self.workloads if selects(selector, w.labels)]

    def environment(self, container: Object) -> dict[str, str | None]:
        """The variables that a container finds in its environment; None where a secret has one."""
        found: dict[str, str | None] = {}
        for source in container.get("envFrom", []):
            reference = source.get("configMapRef", {}).get("name", "")
            found |= (self.find("ConfigMap", reference) or {}).get("data", {})
        for variable in container.get("env", []):
            found[variable["name"]] = variable.get("value")
        return found

    def serves(self, host: str, port: int) -> bool:
        """Whether a Service of that name takes calls on that port."""
        service = self.find("Service", host)
        return service is not None and any(p["port"] == port for p in service["spec"]["ports"])


def where(manifest: Object) -> str:
    """Names an object, as findings do."""
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def selects(selector: Object, labels: Mapping[str, str]) -> bool:
    """Whether a label selector takes a pod with these labels; an empty one takes all."""
    pairs: Mapping[str, str] = selector.get("matchLabels", {})
    return all(labels.get(key) == value for key, value in pairs.items()) and all(
        _meets(expression, labels) for expression in selector.get("matchExpressions", [])
    )


def _meets(expression: Object, labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values", [])
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def probes(container: Object) -> Iterator[tuple[str, Any]]:
    """A container's probes, each with its name."""
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        if name in container:
            yield name, container[name]


def host_and_port(address: str) -> tuple[str, int] | None:
    """Of a URL or a gRPC target that ends in host:port; None where it does not."""
    found = re.search(r"(?:^|[/@])([\w.-]+):(\d+)(?:/\d*)?(?:\?.*)?$", address)
    return (found[1], int(found[2])) if found else None
