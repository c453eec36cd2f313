"""Selectors take pods that exist, names lead to objects that exist, all in one namespace."""

from collections.abc import Iterator

from deploy.checks.facts import Facts
from deploy.checks.findings import Finding
from deploy.checks.manifests import Manifests, Object, Workload, selects, where


def check_references(manifests: Manifests, _facts: Facts) -> Iterator[Finding]:
    """Finds selectors that take nothing, and references to what is not there."""
    yield from _one_namespace(manifests)
    for workload in manifests.workloads:
        yield from _own_selector(workload)
        yield from _named(manifests, workload)
        for constraint in workload.pod.get("topologySpreadConstraints", []):
            if not selects(constraint["labelSelector"], workload.labels):
                yield Finding(workload.where, "a topology spread constraint does not take its pods")
    for service in manifests.of_kind("Service"):
        yield from _takes(manifests, service, {"matchLabels": service["spec"]["selector"]})
    for budget in manifests.of_kind("PodDisruptionBudget"):
        yield from _takes(manifests, budget, budget["spec"]["selector"])
    for scaler in manifests.of_kind("HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        if manifests.find(target["kind"], target["name"]) is None:
            yield Finding(where(scaler), f"there is no {target['kind']}/{target['name']} to scale")


def _one_namespace(manifests: Manifests) -> Iterator[Finding]:
    names = [namespace["metadata"]["name"] for namespace in manifests.of_kind("Namespace")]
    for manifest in manifests.objects:
        if manifest["kind"] != "Namespace" and [manifest["metadata"].get("namespace")] != names:
            yield Finding(where(manifest), f"it is not in the namespace {', '.join(names)}")


def _own_selector(workload: Workload) -> Iterator[Finding]:
    if not selects(workload.manifest["spec"]["selector"], workload.labels):
        yield Finding(workload.where, "its selector does not take its own pods")


def _takes(manifests: Manifests, taker: Object, selector: Object) -> Iterator[Finding]:
    taken = manifests.selected(selector)
    if len(taken) != 1:
        names = ", ".join(w.name for w in taken) or "none"
        yield Finding(where(taker), f"its selector should take the pods of one part: {names}")


def _named(manifests: Manifests, workload: Workload) -> Iterator[Finding]:
    for kind, name in _references(workload):
        if manifests.find(kind, name) is None:
            yield Finding(workload.where, f"it names {kind}/{name}, which does not exist")


def _references(workload: Workload) -> Iterator[tuple[str, str]]:
    """What its pods can't start without; where `optional` is said, they can."""
    yield "ServiceAccount", workload.pod.get("serviceAccountName", "default")
    for container in workload.containers:
        for source in container.get("envFrom", []):
            if "configMapRef" in source:
                yield "ConfigMap", source["configMapRef"]["name"]
            if "secretRef" in source:
                yield "Secret", source["secretRef"]["name"]
        for variable in container.get("env", []):
            if "secretKeyRef" in variable.get("valueFrom", {}):
                yield "Secret", variable["valueFrom"]["secretKeyRef"]["name"]
    for volume in workload.pod.get("volumes", []):
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"]
        if "secret" in volume and not volume["secret"].get("optional"):
            yield "Secret", volume["secret"]["secretName"]
