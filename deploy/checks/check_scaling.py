"""Checks that parts which scale, spread and may be evicted can really do so."""

from collections.abc import Iterator
from typing import Any

from deploy.checks.facts import Facts
from deploy.checks.findings import Finding
from deploy.checks.manifests import Manifests, Workload, where


def check_scaling(manifests: Manifests, _facts: Facts) -> Iterator[Finding]:
    """Finds autoscalers without a base, and replicas that would all end at once or never."""
    for scaler in manifests.of_kind("HorizontalPodAutoscaler"):
        yield from _scaler(manifests, scaler)
    for workload in manifests.workloads:
        if workload.manifest["kind"] == "Deployment":
            yield from _budget(manifests, workload)
            yield from _spread(workload)


def _scaler(manifests: Manifests, scaler: Any) -> Iterator[Finding]:  # noqa: ANN401 - a manifest
    target = scaler["spec"]["scaleTargetRef"]
    manifest = manifests.find(target["kind"], target["name"])
    if manifest is None:
        return
    if "replicas" in manifest["spec"]:
        yield Finding(where(manifest), "it names replicas, so that to apply it undoes the scaling")
    for metric in scaler["spec"]["metrics"]:
        name = metric.get("resource", {}).get("name")
        for container in Workload(manifest).containers:
            if name and name not in container.get("resources", {}).get("requests", {}):
                yield Finding(where(scaler), f"{container['name']} requests no {name} to go by")


def _budget(manifests: Manifests, workload: Workload) -> Iterator[Finding]:
    budgets = [
        budget
        for budget in manifests.of_kind("PodDisruptionBudget")
        if workload in manifests.selected(budget["spec"]["selector"])
    ]
    if len(budgets) != 1:
        yield Finding(workload.where, f"it has {len(budgets)} PodDisruptionBudgets instead of one")
        return
    allowed = budgets[0]["spec"].get("maxUnavailable")
    least = _least_replicas(manifests, workload)
    if not isinstance(allowed, int) or not 0 < allowed < least:
        yield Finding(
            where(budgets[0]), f"of {least} replicas, {allowed} may be away: all at once, or never"
        )


def _least_replicas(manifests: Manifests, workload: Workload) -> int:
    for scaler in manifests.of_kind("HorizontalPodAutoscaler"):
        if scaler["spec"]["scaleTargetRef"]["name"] == workload.name:
            return int(scaler["spec"]["minReplicas"])
    return int(workload.manifest["spec"].get("replicas", 1))


def _spread(workload: Workload) -> Iterator[Finding]:
    keys = {c["topologyKey"] for c in workload.pod.get("topologySpreadConstraints", [])}
    if "kubernetes.io/hostname" not in keys:
        yield Finding(workload.where, "nothing keeps its pods from sharing one node")
