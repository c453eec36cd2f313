"""Every setting in a manifest exists in the code, and every one of the code is accounted for."""

from collections.abc import Callable, Iterator, Mapping

from pydantic import ValidationError

from deploy.checks.facts import Facts, Program
from deploy.checks.findings import Finding
from deploy.checks.manifests import Manifests
from notecast_runtime.settings import ENVIRONMENT_PREFIX, variable_of

_HOPS = "NOTECAST_TRUSTED_HOPS"
_COUNT_HOPS = frozenset({"envoy", "chat-gateway"})
_LIST = "settings-at-default.yaml"
_NO_PREFIX = "nothing that is set here "
"""So that no value comes from this process's own environment."""


def check_settings(manifests: Manifests, facts: Facts) -> Iterator[Finding]:
    """Finds settings that the code does not know, refuses, or has and nobody thought of."""
    for workload in manifests.workloads:
        for container in workload.containers:
            if program := facts.programs.get(container["name"]):
                environment = manifests.environment(container)
                at_default = facts.at_default.get(container["name"], {})
                yield from _known(workload.where, environment, program)
                yield from _allowed(workload.where, environment, program)
                yield from _complete(workload.where, set(environment), at_default, program)
    yield from _agree(manifests)


def _agree(manifests: Manifests) -> Iterator[Finding]:
    """Envoy and the gateways count the same proxies, or they mean different clients."""
    counted = {
        workload.where: manifests.environment(container).get(_HOPS) or "1"
        for workload in manifests.workloads
        for container in workload.containers
        if container["name"] in _COUNT_HOPS
    }
    if len(set(counted.values())) > 1:
        found = ", ".join(f"{hops} in {where}" for where, hops in counted.items())
        yield Finding(next(iter(counted)), f"{_HOPS} differs: {found}")


def _known(
    where: str, environment: Mapping[str, str | None], program: Program
) -> Iterator[Finding]:
    for variable in environment:
        if variable.startswith(ENVIRONMENT_PREFIX) and variable not in program.variables:
            yield Finding(where, f"{variable} is no setting of the code")


def _allowed(
    where: str, environment: Mapping[str, str | None], program: Program
) -> Iterator[Finding]:
    values = {
        program.variables[variable]: value
        for variable, value in environment.items()
        if variable in program.variables and value is not None
    }
    make: Callable[..., object] = program.settings
    try:
        make(_env_prefix=_NO_PREFIX, **values)
    except ValidationError as error:
        for problem in error.errors():
            variable = variable_of(str(problem["loc"][0]))
            yield Finding(where, f"{variable}={problem['input']}: {problem['msg']}")


def _complete(
    where: str, named: set[str], at_default: Mapping[str, str], program: Program
) -> Iterator[Finding]:
    for variable in program.variables:
        if variable not in named and not at_default.get(variable):
            yield Finding(where, f"{variable} is neither set nor in {_LIST} with a reason")
    for variable in at_default:
        if variable not in program.variables:
            yield Finding(where, f"{variable} is in {_LIST} and no setting of the code")
        elif variable in named:
            yield Finding(where, f"{variable} is set, and in {_LIST} as well")
