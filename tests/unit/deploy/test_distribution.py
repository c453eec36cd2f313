"""What is built for others holds all that the code reads, and says all that they need to know."""

import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

from tests.support.distribution import ROOT, build_sdist, build_wheel, copy_of_tree, unpacked

PACKAGES = (
    *(ROOT / "libs").iterdir(),
    ROOT / "services" / "chat-gateway" / "chat_gateway",
    ROOT / "services" / "history" / "history",
    ROOT / "clients" / "python" / "notecast_client",
    ROOT / "deploy" / "local" / "notecast_local",
    ROOT / "proto" / "gen" / "notecast",
    ROOT / "proto" / "gen" / "tutorial",
)
NOT_FOR_OTHERS = {"README.md"}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of_tree(tmp_path_factory.mktemp("distribution"))


@pytest.fixture(scope="module")
def wheel(tree: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(build_wheel(tree, tree.parent / "wheel"))


def info(wheel: zipfile.ZipFile, name: str) -> bytes:
    (path,) = (each for each in wheel.namelist() if each.endswith(f".dist-info/{name}"))
    return wheel.read(path)


def test_the_wheel_has_every_file_of_every_package(wheel: zipfile.ZipFile) -> None:
    files = {
        str(path.relative_to(package.parent)): path
        for package in PACKAGES
        if package.suffix != ".egg-info"
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.name not in NOT_FOR_OTHERS
    }
    assert {"notecast_local/envoy.yaml", "chat_gateway/store/accept.lua"} <= files.keys()
    assert files.keys() - set(wheel.namelist()) == set()
    assert [name for name, path in files.items() if wheel.read(name) != path.read_bytes()] == []


def test_envoy_s_configuration_is_one_file_for_all(wheel: zipfile.ZipFile) -> None:
    for name in "envoy.yaml", "access_log_limit.yaml":
        shipped = ROOT / "deploy" / "envoy" / name
        assert (ROOT / "deploy" / "local" / "notecast_local" / name).resolve() == shipped
        assert wheel.read(f"notecast_local/{name}") == shipped.read_bytes()


def test_the_wheel_of_the_packed_sources_is_that_of_the_tree(
    tree: Path, wheel: zipfile.ZipFile
) -> None:
    sources = unpacked(build_sdist(tree, tree.parent / "sdist"), tree.parent / "unpacked")
    with zipfile.ZipFile(build_wheel(sources, tree.parent / "again")) as again:
        assert sorted(again.namelist()) == sorted(wheel.namelist())
        assert again.read("notecast_local/envoy.yaml") == wheel.read("notecast_local/envoy.yaml")


def test_its_metadata_name_commands_licence_and_extras(wheel: zipfile.ZipFile) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    told = info(wheel, "entry_points.txt").decode()
    assert all(f"{name} = {target}" in told for name, target in project["scripts"].items())
    metadata = message_from_bytes(info(wheel, "METADATA"))
    assert metadata["License-Expression"] == "Apache-2.0"
    assert {"client", "embedded"} <= set(metadata.get_all("Provides-Extra", []))
    assert info(wheel, "licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()


def test_every_package_says_that_it_is_typed(wheel: zipfile.ZipFile) -> None:
    typed = {name.rpartition("/")[0] for name in wheel.namelist() if name.endswith("/py.typed")}
    stubs = {name.rpartition("/")[0] for name in wheel.namelist() if name.endswith(".pyi")}
    libraries = {
        *("notecast_client", "notecast_environment", "notecast_runtime"),
        *("notecast_text", "notecast_wire"),
    }
    assert libraries | stubs <= typed
