"""All checks, in the order in which they are reported."""

from collections.abc import Callable, Iterator

from deploy.checks.check_network import check_network
from deploy.checks.check_ports import check_ports
from deploy.checks.check_probes import check_probes
from deploy.checks.check_references import check_references
from deploy.checks.check_scaling import check_scaling
from deploy.checks.check_security import check_security
from deploy.checks.check_settings import check_settings
from deploy.checks.check_stopping import check_stopping
from deploy.checks.facts import Facts
from deploy.checks.findings import Finding
from deploy.checks.manifests import Manifests

Check = Callable[[Manifests, Facts], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (
    check_probes,
    check_ports,
    check_references,
    check_stopping,
    check_settings,
    check_network,
    check_security,
    check_scaling,
)


def check(manifests: Manifests, facts: Facts) -> list[Finding]:
    """Everything that is wrong with an overlay, other than what its schemas say."""
    return [finding for one in CHECKS for finding in one(manifests, facts)]
