"""The configuration of Envoy, and the script that starts it in containers."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from notecast_local.edge import STREAMS_PER_CONNECTION, Edge, put_in
from notecast_local.envoy import CONFIGURATION, LOG_LIMIT, log_limit_source, render
from notecast_local.ports import StackPorts
from tools.check_envoy import START, variants

ROOT = Path(__file__).parents[3]
SAFE_TO_RETRY = {"connect-failure", "refused-stream", "reset-before-request"}


@pytest.fixture
def started(tmp_path: Path) -> Path:
    """Where an Envoy that only writes down how it was started does so."""
    program, told = tmp_path / "envoy", tmp_path / "told"
    program.write_text(f'#!/usr/bin/env bash\nprintf "%s\\0" "$@" >{told}\n')
    program.chmod(0o755)
    return told


def start(told: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = f"{told.parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", str(START), *arguments],
        env={"PATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def configuration() -> Any:  # noqa: ANN401 - of the file
    """The configuration, where it is started from its own folder rather than a container's."""
    read = yaml.safe_load(CONFIGURATION.read_text())
    log_limit_source(read)["path"] = str(LOG_LIMIT)
    return read


def allowed_origins(of: Any) -> Any:  # noqa: ANN401 - of the file
    (listener,) = of["static_resources"]["listeners"]
    (chain,) = listener["filter_chains"]
    (manager,) = chain["filters"]
    (host,) = manager["typed_config"]["route_config"]["virtual_hosts"]
    return host["typed_per_filter_config"]["envoy.filters.http.cors"]["allow_origin_string_match"]


def test_containers_start_envoy_with_the_file_as_it_is(started: Path) -> None:
    for environment in ({}, {"NOTECAST_ALLOWED_ORIGINS": ""}):
        start(started, "--log-level", "info", **environment).check_returncode()
        option, text, *others = started.read_text().split("\0")[:-1]
        assert option == "--config-yaml"
        assert yaml.safe_load(text) == configuration()
        assert others == ["--log-level", "info"]


def test_the_origins_that_are_allowed_take_the_place_of_this_machines(started: Path) -> None:
    origins = "https://chat.example.com, http://localhost:5173,https://[::1]:8443"
    start(started, NOTECAST_ALLOWED_ORIGINS=origins).check_returncode()
    changed = yaml.safe_load(started.read_text().split("\0")[1])
    expected = configuration()
    allowed_origins(expected)[:] = [
        {"exact": "https://chat.example.com"},
        {"exact": "http://localhost:5173"},
        {"exact": "https://[::1]:8443"},
    ]
    assert changed == expected


@pytest.mark.parametrize(
    "wrong",
    ["*", "chat.example.com", "https://chat.example.com/", "https://*.example.com", "https://a'b"],
)
def test_an_origin_that_no_browser_would_send_ends_it_naming_variable_and_value(
    wrong: str, started: Path
) -> None:
    done = start(started, NOTECAST_ALLOWED_ORIGINS=f"https://chat.example.com,{wrong}")
    assert done.returncode == 2
    assert f"NOTECAST_ALLOWED_ORIGINS={wrong} is not allowed" in done.stderr
    assert not started.exists()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("NOTECAST_ALLOWED_HOSTS", "chat.example.com:8080"),
        ("NOTECAST_ALLOWED_HOSTS", "https://chat.example.com"),
        ("NOTECAST_ALLOWED_HOSTS", "a'b"),
        ("NOTECAST_TRUSTED_HOPS", "0"),
        ("NOTECAST_TRUSTED_HOPS", "two"),
        ("NOTECAST_STREAMS_PER_CONNECTION", "1001"),
        ("NOTECAST_STREAMS_PER_CONNECTION", ""),
    ],
)
def test_a_value_that_is_not_allowed_ends_it_naming_variable_and_value(
    variable: str, value: str, started: Path
) -> None:
    done = start(started, **{variable: value})
    if value:
        assert done.returncode == 2
        assert f"{variable}={value} is not allowed: it takes" in done.stderr
        assert not started.exists()
    else:  # as Compose hands on what is not set
        assert done.returncode == 0


@pytest.mark.parametrize(
    "edge",
    [
        Edge(("*",)),
        Edge(("chat.example.com", "*.example.com", "localhost", "chat.example.com")),
        Edge(("[2001:db8::1]", "*"), ("https://chat.example.com",)),
        Edge(("chat.example.com",), ("https://a.example.com", "http://b"), 3, 1000),
    ],
)
def test_the_script_and_make_run_make_the_same_of_what_is_set(edge: Edge, started: Path) -> None:
    start(
        started,
        NOTECAST_ALLOWED_HOSTS=",".join(edge.hosts),
        NOTECAST_ALLOWED_ORIGINS=", ".join(edge.origins),
        NOTECAST_TRUSTED_HOPS=str(edge.trusted_hops),
        NOTECAST_STREAMS_PER_CONNECTION=str(edge.streams_per_connection),
    ).check_returncode()
    expected = configuration()
    put_in(expected, edge)
    assert yaml.safe_load(started.read_text().split("\0")[1]) == expected


@pytest.mark.parametrize("port", ["127.0.0.1:8080", "[::1]:80", "localhost:8080"])
def test_published_on_this_machine_alone_it_answers_to_this_machines_names_alone(
    port: str, started: Path
) -> None:
    start(started, NOTECAST_PORT=port).check_returncode()
    expected = configuration()
    put_in(expected, Edge())
    assert yaml.safe_load(started.read_text().split("\0")[1]) == expected


def test_the_streams_of_a_connection_are_the_same_in_file_script_and_make_run() -> None:
    (listener,) = configuration()["static_resources"]["listeners"]
    (manager,) = listener["filter_chains"][0]["filters"]
    own = manager["typed_config"]["http2_protocol_options"]["max_concurrent_streams"]
    assert own == STREAMS_PER_CONNECTION
    assert f"NOTECAST_STREAMS_PER_CONNECTION:-{own}}}" in START.read_text()


def test_make_run_changes_addresses_and_what_is_set_and_nothing_else() -> None:
    ports = StackPorts(1, 2, 3, 4, 5, gateways=(6, 7))
    edge = Edge(("chat.example.com",))
    ours, theirs = configuration(), yaml.safe_load(render(CONFIGURATION.read_text(), ports, edge))
    put_in(ours, edge)
    del theirs["static_resources"]["clusters"][0]["upstream_bind_config"]
    for one in (ours, theirs):
        (listener,) = one["static_resources"]["listeners"]
        (cluster,) = one["static_resources"]["clusters"]
        del one["admin"]["address"], listener["address"], listener["additional_addresses"]
        del cluster["load_assignment"]
    assert ours == theirs


def test_containers_have_what_bounds_the_log_where_the_configuration_says() -> None:
    named = log_limit_source(yaml.safe_load(CONFIGURATION.read_text()))["path"]
    assert named == f"/etc/envoy/{LOG_LIMIT.name}"
    compose = yaml.safe_load((ROOT / "deploy/docker-compose.yml").read_text())
    assert f"./envoy/{LOG_LIMIT.name}:{named}:ro" in compose["services"]["envoy"]["volumes"]
    handed = yaml.safe_load((LOG_LIMIT.parent / "kustomization.yaml").read_text())
    (generator,) = handed["configMapGenerator"]
    assert LOG_LIMIT.name in generator["files"]
    file = ROOT / "deploy/k8s/base/envoy/deployment.yaml"
    (container,) = yaml.safe_load(file.read_text())["spec"]["template"]["spec"]["containers"]
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/etc/envoy"]


def test_only_what_no_gateway_has_begun_is_tried_again() -> None:
    (listener,) = configuration()["static_resources"]["listeners"]
    (manager,) = listener["filter_chains"][0]["filters"]
    (host,) = manager["typed_config"]["route_config"]["virtual_hosts"]
    policies = [route["route"]["retry_policy"] for route in host["routes"]]
    for policy in policies:
        assert set(policy["retry_on"].split(",")) <= SAFE_TO_RETRY
    assert "retry_policy" not in host


def test_envoy_refuses_calls_before_its_container_is_out_of_memory() -> None:
    heap, _ = configuration()["overload_manager"]["resource_monitors"]
    most = heap["typed_config"]["max_heap_size_bytes"]
    compose = yaml.safe_load((ROOT / "deploy/docker-compose.yml").read_text())
    limits = compose["services"]["envoy"]["deploy"]["resources"]["limits"]
    file = ROOT / "deploy/k8s/base/envoy/deployment.yaml"
    (container,) = yaml.safe_load(file.read_text())["spec"]["template"]["spec"]["containers"]
    assert (limits["memory"], container["resources"]["limits"]["memory"]) == ("1G", "1Gi")
    assert 0.6 * 2**30 < most < 0.8 * 2**30


def test_every_way_of_starting_envoy_is_validated(tmp_path: Path) -> None:
    names = [variant.name for variant in variants(tmp_path)]
    assert [n for n in names if "settings" not in n] == [
        "make run",
        "compose",
        "Kubernetes",
    ]
