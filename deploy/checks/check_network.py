"""NetworkPolicies permit the arrows of the architecture, and no other."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from deploy.checks.facts import Facts
from deploy.checks.findings import Finding
from deploy.checks.manifests import Manifests, Object, where

ANYONE = "anyone"
"""The peer outside of the namespace."""

_DNS = 53

_ARROWS = {
    (ANYONE, "envoy"),
    ("envoy", "chat-gateway"),
    ("chat-gateway", "history"),
    ("chat-gateway", "redis"),
    ("history", "redis"),
}
"""docs/architecture.md draws them."""


class Arrow(NamedTuple):
    """Lists which part may open connections to which, and on which port."""

    source: str
    target: str
    port: int


def check_network(manifests: Manifests, _facts: Facts) -> Iterator[Finding]:
    """Finds policies that take no pods, permit too much or too little, or name a wrong port."""
    policies = manifests.of_kind("NetworkPolicy")
    for policy in policies:
        yield from _selects_pods(manifests, policy)
    if not any(_denies_all(policy) for policy in policies):
        yield Finding("NetworkPolicy", "nothing denies what no policy permits")
    ins = {arrow for p in policies for arrow in _ingress(manifests, p)}
    outs = {arrow for p in policies for arrow in _egress(manifests, p)}
    yield from _expected(manifests, ins, outs)
    yield from _ports(manifests, ins | outs)


def _selects_pods(manifests: Manifests, policy: Object) -> Iterator[Finding]:
    if not manifests.selected(policy["spec"]["podSelector"]):
        yield Finding(where(policy), "it takes no pods")
    for peer in _peers(policy):
        if _is_inside(peer) and not manifests.selected(peer["podSelector"]):
            yield Finding(where(policy), "it permits pods that do not exist")


def _peers(policy: Object) -> Iterator[Any]:
    for rule in policy["spec"].get("ingress", []):
        yield from rule.get("from", [])
    for rule in policy["spec"].get("egress", []):
        yield from rule.get("to", [])


def _is_inside(peer: Object) -> bool:
    return "podSelector" in peer and "namespaceSelector" not in peer


def _denies_all(policy: Object) -> bool:
    spec = policy["spec"]
    both = {"Ingress", "Egress"} <= set(spec["policyTypes"])
    return both and spec["podSelector"] == {} and not spec.get("ingress") and not spec.get("egress")


def _ingress(manifests: Manifests, policy: Object) -> Iterator[Arrow]:
    for rule in policy["spec"].get("ingress", []):
        for target in _names(manifests, policy["spec"]["podSelector"]):
            for source in _sides(manifests, rule.get("from")):
                yield from (Arrow(source, target, port) for port in _rule_ports(rule))


def _egress(manifests: Manifests, policy: Object) -> Iterator[Arrow]:
    for rule in policy["spec"].get("egress", []):
        for source in _names(manifests, policy["spec"]["podSelector"]):
            for target in _sides(manifests, rule.get("to")):
                yield from (Arrow(source, target, port) for port in _rule_ports(rule))


def _sides(manifests: Manifests, peers: list[Any] | None) -> set[str]:
    """The other ends that a rule speaks of; a rule without any speaks of everybody."""
    if not peers:
        return {ANYONE}
    names: set[str] = set()
    for peer in peers:
        names |= set(_names(manifests, peer["podSelector"])) if _is_inside(peer) else {ANYONE}
    return names


def _names(manifests: Manifests, selector: Object) -> list[str]:
    return [workload.name for workload in manifests.selected(selector)]


def _rule_ports(rule: Mapping[str, Any]) -> set[int]:
    """The rule's ports; 0 stands for all, where it names none."""
    return {port["port"] for port in rule.get("ports", [])} or {0}


def _expected(manifests: Manifests, ins: set[Arrow], outs: set[Arrow]) -> Iterator[Finding]:
    parts = {workload.name for workload in manifests.workloads}
    may = {(a.source, a.target) for a in outs if a.port != _DNS}
    may |= {(a.source, a.target) for a in ins}
    # What is not in the namespace is anyone to those that are.
    wanted = {(s, t if t in parts else ANYONE) for s, t in _ARROWS if s in {ANYONE, *parts}}
    for source, target in sorted(may - wanted):
        yield Finding("NetworkPolicy", f"{source} may call {target}, and has no reason to")
    for source, target in sorted(wanted):
        sides = [ins] * (target != ANYONE) + [outs] * (source != ANYONE)
        if any((source, target) not in {(a.source, a.target) for a in side} for side in sides):
            yield Finding("NetworkPolicy", f"{source} can't call {target}")


def _ports(manifests: Manifests, arrows: set[Arrow]) -> Iterator[Finding]:
    for workload in manifests.workloads:
        for arrow in sorted(a for a in arrows if a.target == workload.name):
            if arrow.port not in workload.ports:
                what = f"port {arrow.port}" if arrow.port else "every port"
                yield Finding(
                    "NetworkPolicy", f"{arrow.source} may call {arrow.target} on {what}; it has"
                    f" {sorted(workload.ports)}"
                )  # fmt: skip
