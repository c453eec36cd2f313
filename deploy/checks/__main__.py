"""The command: `python -m deploy.checks`. Renders and checks every overlay.

Exits with 0 where all is well, and with 1 where something is wrong, or nothing could be
rendered and so nothing was checked.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from deploy.checks.checks import CHECKS, check
from deploy.checks.facts import ROOT, read_facts
from deploy.checks.rendering import OVERLAYS, RenderError, find_renderer, render
from deploy.checks.schemas import check_schemas, versions

_TOOLS = ROOT / ".run" / "tools"


def main() -> int:
    """The command; returns its exit code."""
    try:
        renderer = find_renderer(_TOOLS)
        print(f"rendered with: {' '.join(renderer)}")
        faults = [_check_overlay(renderer, overlay) for overlay in OVERLAYS]
    except RenderError as error:
        print(f"THE MANIFESTS WERE NOT CHECKED: {error}", file=sys.stderr)
        return 1
    return 1 if any(faults) else 0


def _check_overlay(renderer: Sequence[str], overlay: str) -> int:
    with tempfile.TemporaryDirectory() as scratch:
        manifests = render(renderer, overlay, Path(scratch))
    findings = [*check_schemas(manifests), *check(manifests, read_facts())]
    scope = (
        f"{len(manifests.objects)} objects, schemas of Kubernetes {' and '.join(versions())},"
        f" {len(CHECKS)} checks against the code and each other"
    )
    print(f"{overlay}: {scope}: {f'{len(findings)} faults' if findings else 'fine'}")
    for finding in findings:
        print(f"  {finding}", file=sys.stderr)
    return len(findings)


if __name__ == "__main__":
    sys.exit(main())
