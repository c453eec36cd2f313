"""The overlays, rendered once, and copies of one of them to spoil."""

import copy
from collections.abc import Mapping
from typing import Any

import pytest

from deploy.checks.checks import Check
from deploy.checks.facts import Facts, read_facts
from deploy.checks.manifests import Manifests
from deploy.checks.rendering import OVERLAYS, RenderError, find_renderer, render

Manifest = Any
"""Of an object, or a part of it."""


class Overlay:
    """An overlay that a test may change.

    Args:
        manifests: of which it is a copy.
        facts: of the code.
    """

    def __init__(self, manifests: Manifests, facts: Facts) -> None:
        self.manifests = Manifests(copy.deepcopy(list(manifests.objects)))
        self.facts = facts

    def get(self, kind: str, name: str) -> Manifest:
        """An object, to be changed; a ConfigMap's name is that of before its digest."""
        (found,) = [
            o
            for o in self.manifests.of_kind(kind)
            if o["metadata"]["name"].removesuffix(_digest(o)) == name
        ]
        return found

    def pod(self, name: str) -> Manifest:
        """The pod spec of a workload, to be changed."""
        return self.workload(name)["spec"]["template"]["spec"]

    def workload(self, name: str) -> Manifest:
        """A Deployment or StatefulSet, to be changed."""
        (found,) = [w.manifest for w in self.manifests.workloads if w.name == name]
        return found

    def container(self, name: str) -> Manifest:
        """The container of a workload, to be changed."""
        (found,) = self.pod(name)["containers"]
        return found

    def settings(self, name: str) -> Manifest:
        """The ConfigMap's data of a program, to be changed."""
        return self.get("ConfigMap", name)["data"]

    def remove(self, kind: str, name: str) -> None:
        """Takes an object away."""
        gone = self.get(kind, name)
        self.manifests = Manifests([o for o in self.manifests.objects if o is not gone])

    def says(self, check: Check) -> list[str]:
        """The findings of a check."""
        return [str(finding) for finding in check(self.manifests, self.facts)]


def _digest(manifest: Mapping[str, Any]) -> str:
    generated = manifest["kind"] in {"ConfigMap", "Secret"}
    return "-" + manifest["metadata"]["name"].rpartition("-")[2] if generated else ""


@pytest.fixture(scope="session")
def renderer(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """The command that renders a folder."""
    try:
        return tuple(find_renderer(tmp_path_factory.mktemp("tools")))
    except RenderError as error:
        pytest.skip(f"THE KUBERNETES MANIFESTS ARE NOT TESTED: {error}")


@pytest.fixture(scope="session")
def facts() -> Facts:
    """Of the code."""
    return read_facts()


@pytest.fixture(scope="session")
def rendered(
    renderer: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Manifests]:
    """Every overlay by its name, never to be changed."""
    return {name: render(renderer, name, tmp_path_factory.mktemp(name)) for name in OVERLAYS}


@pytest.fixture
def local(rendered: dict[str, Manifests], facts: Facts) -> Overlay:
    """The overlay `local`, to be changed."""
    return Overlay(rendered["local"], facts)


@pytest.fixture
def production(rendered: dict[str, Manifests], facts: Facts) -> Overlay:
    """The overlay `production`, to be changed."""
    return Overlay(rendered["production"], facts)
