"""Manifests against the schemas of Kubernetes, where no field is unknown."""

from collections.abc import Iterator

import kubernetes_validate

from deploy.checks.findings import Finding
from deploy.checks.manifests import Manifests, where

OLDEST = "1.30"
"""The oldest Kubernetes that the manifests are for: it has preStop's sleep."""


def versions() -> tuple[str, str]:
    """The oldest version that is supported, and the newest whose schemas are known."""
    newest: str = kubernetes_validate.latest_version()
    return OLDEST, newest


def check_schemas(manifests: Manifests) -> Iterator[Finding]:
    """Finds objects that the API server would refuse or, worse, take without the unknown part."""
    for version in versions():
        for manifest in manifests.objects:
            try:
                kubernetes_validate.validate(manifest, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                path = ".".join(str(part) for part in error.path)
                yield Finding(where(manifest), f"{version}: {path}: {error.message}")
            except kubernetes_validate.SchemaNotFoundError as error:
                yield Finding(where(manifest), f"{version}: {error.message}")
