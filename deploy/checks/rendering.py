"""Renders overlays with kubectl, or with a kustomize that is built from its Go module."""

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import yaml

from deploy.checks.facts import ROOT
from deploy.checks.manifests import Manifests
from tools.go_programs import GoError, build

OVERLAYS = ("local", "production")

_MODULE = Path(__file__).parent / "kustomize"
_PACKAGE = "sigs.k8s.io/kustomize/kustomize/v5"
_OLDEST_KUSTOMIZE = 5
_ANSWER_SECONDS = 60
_BUILD_SECONDS = 600.0


class RenderError(Exception):
    """An overlay could not be rendered, or nothing that renders could be had."""


def find_renderer(tools: Path) -> Sequence[str]:
    """The command that renders the folder that is added to it.

    Args:
        tools: a folder for what has to be built.

    Raises:
        RenderError: there is neither kubectl nor Go, or the build failed.
    """
    if _kustomize_of_kubectl() >= _OLDEST_KUSTOMIZE:
        return ("kubectl", "kustomize")
    if shutil.which("go") is None:
        raise RenderError(
            "rendering needs kubectl (1.27 or newer, on the path), or Go to build kustomize with"
        )
    program = tools / "kustomize"
    try:
        build(_PACKAGE, _MODULE, program, _BUILD_SECONDS)
    except GoError as error:
        raise RenderError(str(error)) from None
    return (str(program), "build")


def render(renderer: Sequence[str], overlay: str, scratch: Path) -> Manifests:
    """Renders an overlay, with the examples of the secrets that it wants.

    Args:
        renderer: as find_renderer gives it.
        overlay: its name.
        scratch: an empty folder for a copy; the tree itself holds no secrets.

    Raises:
        RenderError: it can't be rendered; says why.
    """
    copy = copy_tree(scratch)
    for example in copy.rglob("*.env.example"):
        shutil.copyfile(example, example.with_suffix(""))
    return render_folder(renderer, copy / "k8s" / "overlays" / overlay)


def copy_tree(scratch: Path) -> Path:
    """Copies all that is rendered, but for secrets; returns the copy of `deploy`."""
    for folder in ("envoy", "k8s"):
        shutil.copytree(
            ROOT / "deploy" / folder,
            scratch / "deploy" / folder,
            ignore=lambda path, names: {n for n in names if "secrets" in path and n[-4:] == ".env"},
        )
    return scratch / "deploy"


def render_folder(renderer: Sequence[str], folder: Path) -> Manifests:
    """Renders a folder with a kustomization; raises RenderError where that fails."""
    text = _run([*renderer, str(folder)], folder, _ANSWER_SECONDS)
    return Manifests([manifest for manifest in yaml.safe_load_all(text) if manifest])


def _kustomize_of_kubectl() -> int:
    """The major version of the kustomize in kubectl; 0 where there is none."""
    if shutil.which("kubectl") is None:
        return 0
    try:
        answer = _run(["kubectl", "version", "--client", "--output=json"], ROOT, _ANSWER_SECONDS)
        version = re.match(r"v(\d+)\.", str(json.loads(answer).get("kustomizeVersion", "")))
    except (RenderError, ValueError):
        return 0
    return int(version[1]) if version else 0


def _run(command: Sequence[str], folder: Path, seconds: float) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - kubectl, and what we built
            command, cwd=folder, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise RenderError(f"`{' '.join(command)}` did not end within {seconds:g} s") from None
    if done.returncode:
        raise RenderError(f"`{' '.join(command)}` fails:\n{done.stderr.strip()}")
    return done.stdout
