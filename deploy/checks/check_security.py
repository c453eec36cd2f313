"""Pods ask for no more than they need: Pod Security `restricted`, and a little less."""

from collections.abc import Iterator
from typing import Any

from deploy.checks.facts import Facts
from deploy.checks.findings import Finding
from deploy.checks.manifests import Manifests, Object, Workload, where

_ENFORCE = "pod-security.kubernetes.io/enforce"


def check_security(manifests: Manifests, facts: Facts) -> Iterator[Finding]:
    """Finds rights that no part needs, users other than the images', and unbounded resources."""
    for namespace in manifests.of_kind("Namespace"):
        if namespace["metadata"].get("labels", {}).get(_ENFORCE) != "restricted":
            yield Finding(where(namespace), "it does not enforce Pod Security `restricted`")
    for account in manifests.of_kind("ServiceAccount"):
        if account.get("automountServiceAccountToken") is not False:
            yield Finding(where(account), "its token would be mounted")
    for workload in manifests.workloads:
        yield from _pod(workload, facts)
        for container in workload.containers:
            yield from _container(workload, container)
            yield from _resources(workload, container)


def _pod(workload: Workload, facts: Facts) -> Iterator[Finding]:
    pod = workload.pod
    security = pod.get("securityContext", {})
    if pod.get("automountServiceAccountToken") is not False:
        yield Finding(workload.where, "the account's token would be mounted")
    if security.get("runAsNonRoot") is not True:
        yield Finding(workload.where, "runAsNonRoot is not said")
    if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield Finding(workload.where, "seccompProfile is not RuntimeDefault")
    if any(pod.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")):
        yield Finding(workload.where, "it shares something with the node")
    program = facts.programs.get(workload.name)
    user = security.get("runAsUser")
    if not user or (program and user != program.user):
        yield Finding(workload.where, f"runAsUser is {user}, not the image's own user")


def _container(workload: Workload, container: Object) -> Iterator[Finding]:
    security: Any = container.get("securityContext", {})
    if security.get("allowPrivilegeEscalation") is not False:
        yield Finding(workload.where, "allowPrivilegeEscalation is not false")
    if security.get("readOnlyRootFilesystem") is not True:
        yield Finding(workload.where, "its root file system can be written")
    if security.get("capabilities") != {"drop": ["ALL"]}:
        yield Finding(workload.where, "it keeps capabilities")
    if security.get("privileged"):
        yield Finding(workload.where, "it is privileged")


def _resources(workload: Workload, container: Object) -> Iterator[Finding]:
    resources: Any = container.get("resources", {})
    for kind in ("requests", "limits"):
        for name in ("cpu", "memory"):
            if name not in resources.get(kind, {}):
                yield Finding(workload.where, f"{container['name']} has no {name} in its {kind}")
