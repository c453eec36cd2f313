"""A pod has the time to end in order: the grace is longer than all that happens within it."""

import re
from collections.abc import Iterator, Mapping

from deploy.checks.facts import Facts, Program
from deploy.checks.findings import Finding
from deploy.checks.manifests import Manifests, Object

_LEAST_SPARE_SECONDS = 5
"""For what is not waited for but takes its time, as closing connections on a busy node."""


def check_stopping(manifests: Manifests, facts: Facts) -> Iterator[Finding]:
    """Finds pods that would be killed before they have ended.

    The clock of terminationGracePeriodSeconds starts with preStop.
    """
    for workload in manifests.workloads:
        grace = workload.pod.get("terminationGracePeriodSeconds", 30)
        for container in workload.containers:
            before = pre_stop_seconds(container)
            program = facts.programs.get(container["name"])
            stop = stop_seconds(program, manifests.environment(container)) if program else 0.0
            if grace < before + stop + _LEAST_SPARE_SECONDS:
                yield Finding(
                    workload.where,
                    f"terminationGracePeriodSeconds is {grace}; preStop takes {before:g} s, the"
                    f" program {stop:g} s, and {_LEAST_SPARE_SECONDS} s are to spare",
                )


def pre_stop_seconds(container: Object) -> float:
    """Adds up the seconds that preStop takes: its sleep, or those in its command."""
    hook = container.get("lifecycle", {}).get("preStop", {})
    if "sleep" in hook:
        return float(hook["sleep"]["seconds"])
    words = " ".join(hook.get("exec", {}).get("command", []))
    return sum(float(seconds) for seconds in re.findall(r"\bsleep ([\d.]+)", words))


def stop_seconds(program: Program, environment: Mapping[str, str | None]) -> float:
    """Computes the seconds that a program may take to end, drain and grace included."""
    return float(program.value("shutdown_grace_seconds", environment))
