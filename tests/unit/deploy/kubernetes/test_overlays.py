"""The overlays are right, and what an operator forgets or changes has its effect."""

from pathlib import Path

import pytest

from deploy.checks.checks import check
from deploy.checks.facts import Facts
from deploy.checks.manifests import Manifests
from deploy.checks.rendering import OVERLAYS, RenderError, copy_tree, render_folder
from deploy.checks.schemas import check_schemas
from tests.unit.deploy.kubernetes.conftest import Overlay


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_fits_the_schemas_of_the_oldest_and_the_newest_kubernetes(
    rendered: dict[str, Manifests], overlay: str
) -> None:
    assert list(check_schemas(rendered[overlay])) == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_agrees_with_the_code_and_with_itself(
    rendered: dict[str, Manifests], facts: Facts, overlay: str
) -> None:
    assert check(rendered[overlay], facts) == []


def test_a_field_that_kubernetes_does_not_know_is_found(local: Overlay) -> None:
    local.pod("chat-gateway")["terminationGracePeriod"] = 45
    assert any("terminationGracePeriod" in str(f) for f in check_schemas(local.manifests))


def test_production_without_its_secret_is_not_rendered_and_says_which_file_is_missing(
    renderer: tuple[str, ...], tmp_path: Path
) -> None:
    deploy = copy_tree(tmp_path)
    with pytest.raises(RenderError, match=r"secrets/redis\.env"):
        render_folder(renderer, deploy / "k8s" / "overlays" / "production")


def test_a_secret_in_the_tree_is_not_copied_with_it(tmp_path: Path) -> None:
    assert list(copy_tree(tmp_path).rglob("secrets/*"))
    assert not list(copy_tree(tmp_path / "again").rglob("secrets/*.env"))


def test_the_password_comes_from_the_secret_alone(production: Overlay) -> None:
    for name in ("chat-gateway", "history"):
        (variable,) = production.container(name)["env"]
        assert variable["name"] == "NOTECAST_REDIS_URL"
        reference = variable["valueFrom"]["secretKeyRef"]
        assert production.manifests.find("Secret", reference["name"])
        assert reference["key"] == "url"


@pytest.mark.parametrize(
    ("part", "file", "line"),
    [
        ("chat-gateway", "k8s/base/chat-gateway/settings.env", "NOTECAST_RING_NOTES=512"),
        ("history", "k8s/base/history/settings.env", "NOTECAST_PERSIST_BATCH=16"),
        ("envoy", "envoy/envoy.yaml", "# another comment"),
    ],
)
def test_another_setting_rolls_the_pods_that_it_is_for_and_no_others(
    renderer: tuple[str, ...], local: Overlay, tmp_path: Path, part: str, file: str, line: str
) -> None:
    deploy = copy_tree(tmp_path)
    with (deploy / file).open("a") as lines:
        lines.write(f"{line}\n")
    after = render_folder(renderer, deploy / "k8s" / "overlays" / "local")
    assert {w.name for w in after.workloads if w.pod != local.pod(w.name)} == {part}


def test_envoy_gets_the_configuration_that_all_ways_of_running_share(local: Overlay) -> None:
    text = (Path(__file__).parents[4] / "deploy" / "envoy" / "envoy.yaml").read_text()
    assert local.settings("envoy")["envoy.yaml"] == text
