"""What is in the images of the services, and what is not."""

import json
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.containers import IMAGES, ROOT, docker, require_engine

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]

_TAG = "image-test"
_REVISION = "0123456789abcdef"
_BUILD_SECONDS = 600
_LARGEST_LAYERS_OF_OUR_OWN = 70_000_000
"""Bytes, of what we put on top of Python."""

ABSENT = ("pip", "gcc", "cc", "make")
NO_MODULES = ("pip", "ensurepip", "pytest", "tests")


def build(image: str, tag: str, *options: str, context: Path = ROOT) -> str:
    """Builds an image from a tree; returns its name."""
    file = f"services/{image.removeprefix('notecast/')}/Dockerfile"
    subprocess.run(
        ["docker", "build", "--quiet", *options, "--tag", f"{image}:{tag}", "--file", file, "."],
        cwd=context,
        check=True,
        capture_output=True,
        timeout=_BUILD_SECONDS,
    )
    return f"{image}:{tag}"


def told_of(image: str) -> dict[str, Any]:
    (told,) = json.loads(docker("image", "inspect", image))
    return dict(told)


def run_in(image: str, *command: str) -> str:
    """Runs a command as the service would run: with nothing to write to, and no rights."""
    program, *arguments = command
    rights = ("--read-only", "--cap-drop", "ALL", "--network", "none")
    return docker("run", "--rm", *rights, "--entrypoint", program, image, *arguments)


@pytest.fixture(scope="module", params=IMAGES)
def image(request: pytest.FixtureRequest) -> Iterator[str]:
    """An image as it is built for a release; gone afterwards."""
    require_engine()
    name = build(str(request.param), _TAG, "--build-arg", f"REVISION={_REVISION}")
    yield name
    docker("image", "rm", "--force", name)


def test_an_image_runs_as_a_user_of_its_own_by_number(image: str) -> None:
    assert told_of(image)["Config"]["User"] == "10001:10001"
    assert run_in(image, "id", "--user").strip() == "10001"


def test_an_image_holds_nothing_to_build_or_install_with_and_no_tests(image: str) -> None:
    script = f"""
import importlib.util, shutil, pathlib
print([name for name in {ABSENT!r} if shutil.which(name)])
print([name for name in {NO_MODULES!r} if importlib.util.find_spec(name)])
print([str(path) for path in pathlib.Path("/opt").rglob("*") if path.name in ("test", "tests")])
"""
    assert run_in(image, "python", "-c", script).split() == ["[]", "[]", "[]"]
    assert run_in(image, "find", "/var/cache", "/var/lib/apt/lists", "-type", "f") == ""


def test_an_image_compiles_nothing_when_it_starts(image: str) -> None:
    """It could not keep it, and would do so at each start and each health check."""
    script = """
import importlib.util, pathlib
paths = [p for folder in ("/app", "/opt/notecast") for p in pathlib.Path(folder).rglob("*.py")]
print([str(p) for p in paths if not pathlib.Path(importlib.util.cache_from_source(p)).exists()])
"""
    assert run_in(image, "python", "-c", script).strip() == "[]"


def test_an_image_says_what_it_is_and_what_it_was_made_of(image: str) -> None:
    labels = told_of(image)["Config"]["Labels"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    said = {name.rpartition("image.")[2]: value for name, value in labels.items()}
    assert said["version"] == project["version"]
    assert said["licenses"] == project["license"]
    assert said["revision"] == _REVISION
    assert said["title"] == f"notecast {image.partition('/')[2].partition(':')[0]}"
    assert said["description"]


def test_an_image_has_its_program_as_the_first_process_and_a_probe_of_its_health(
    image: str,
) -> None:
    configuration = told_of(image)["Config"]
    # Without a shell before it, signals reach the program.
    assert configuration["Entrypoint"][:2] == ["python", "-m"]
    assert configuration["Healthcheck"]["Test"][:4] == [
        "CMD",
        "python",
        "-m",
        "notecast_runtime.probe",
    ]


def test_an_image_adds_little_to_python_itself(image: str) -> None:
    sizes = docker("history", "--no-trunc", "--human=false", "--format", "{{.Size}}", image)
    ours = sorted(map(int, sizes.split()))[:-1]  # the largest layer is the system and Python
    assert sum(ours) < _LARGEST_LAYERS_OF_OUR_OWN


def test_both_images_share_all_layers_but_that_of_the_program() -> None:
    require_engine()
    names = [build(image, f"{_TAG}-both") for image in IMAGES]
    gateway, history = (told_of(name)["RootFS"]["Layers"] for name in names)
    for name in names:
        docker("image", "rm", "--force", name)
    assert len(gateway) == len(history)
    assert sum(a != b for a, b in zip(gateway, history, strict=True)) == 1


@pytest.mark.slow
def test_two_builds_of_the_same_tree_have_the_same_layers(tmp_path: Path) -> None:
    require_engine()
    # A checkout of another time, by somebody with other habits.
    for name in (".dockerignore", "requirements/services.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    for name in ("deploy/image", "libs", "proto/gen", "services"):
        shutil.copytree(ROOT / name, tmp_path / name, copy_function=copy_for_oneself)
    names = [
        build(IMAGES[0], f"{_TAG}-{number}", "--no-cache", context=context)
        for number, context in enumerate((ROOT, tmp_path), start=1)
    ]
    first, second = (told_of(name)["RootFS"]["Layers"] for name in names)
    assert first == second
    for name in names:
        docker("image", "rm", "--force", name)


def copy_for_oneself(source: str, target: str) -> None:
    shutil.copyfile(source, target)
    Path(target).chmod(0o600)
