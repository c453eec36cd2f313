"""The compose files: bounded, closed, and explained."""

import re
from ipaddress import IPv4Network, ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parents[3] / "deploy"
TRIAL = DEPLOY / "docker-compose.yml"
PRODUCTION = DEPLOY / "docker-compose.production.yml"

SERVICES: dict[str, Any] = yaml.safe_load(TRIAL.read_text())["services"]
ARROWS = {
    ("envoy", "chat-gateway"),
    ("chat-gateway", "history"),
    ("chat-gateway", "redis"),
    ("history", "redis"),
}

every_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES.keys())


@every_service
def test_a_container_is_bounded_and_comes_back(service: dict[str, Any]) -> None:
    limits = service["deploy"]["resources"]["limits"]
    assert limits.keys() == {"cpus", "memory", "pids"}
    assert service["restart"] == "unless-stopped"
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert service["healthcheck"]["test"]


@every_service
def test_a_container_has_no_rights_and_nothing_to_write_to(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_networks_join_those_that_talk_to_each_other() -> None:
    networks = {name: set(service["networks"]) for name, service in SERVICES.items()}
    joined = {(a, b) for a in networks for b in networks if a != b and networks[a] & networks[b]}
    assert joined == ARROWS | {(b, a) for a, b in ARROWS}
    declared = yaml.safe_load(TRIAL.read_text())["networks"]
    assert declared["back"] == {"internal": True}


def test_envoy_alone_is_published_and_each_port_has_a_variable() -> None:
    published = {name: service.get("ports", []) for name, service in SERVICES.items()}
    ports = published.pop("envoy")
    assert not any(published.values())
    assert ports == ["${NOTECAST_PORT:-8080}:8080", "${NOTECAST_TUTORIAL_PORT:-11912}:11912"]


@pytest.mark.parametrize("file", [TRIAL, PRODUCTION], ids=lambda file: file.name)
def test_every_variable_is_explained_where_it_is_used(file: Path) -> None:
    text = file.read_text()
    explained = "\n".join(line for line in text.splitlines() if line.startswith("#"))
    used = set(re.findall(r"\$\{([A-Z_]+)", text))
    assert used
    assert {name for name in used if name not in explained} == set()


def test_the_redis_of_trials_keeps_what_it_is_given() -> None:
    lines = (DEPLOY / "redis/redis.conf").read_text().splitlines()
    told = dict(line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))
    assert told["appendonly"] == "yes"
    assert told["maxmemory-policy"] == "noeviction"
    # Rewriting its file takes memory beside the data.
    assert told["maxmemory"] == "768mb"
    assert SERVICES["redis"]["deploy"]["resources"]["limits"]["memory"] == "1536M"


def test_no_password_is_in_the_files() -> None:
    for file in (TRIAL, PRODUCTION, DEPLOY / "redis/redis.conf"):
        said = [line for line in file.read_text().splitlines() if not line.startswith("#")]
        assert not [line for line in said if re.search(r"(requirepass \w|redis://[^/]*@)", line)]


def test_gateways_believe_envoys_one_address_and_no_other() -> None:
    (network,) = yaml.safe_load(TRIAL.read_text())["networks"]["front"]["ipam"]["config"]
    address = SERVICES["envoy"]["networks"]["front"]["ipv4_address"]
    assert SERVICES["chat-gateway"]["environment"]["NOTECAST_TRUSTED_PROXIES"] == address
    default = re.sub(r"\$\{NOTECAST_FRONT:-(.*?)\}", r"\1", address)
    subnet = re.sub(r"\$\{NOTECAST_FRONT:-(.*?)\}", r"\1", network["subnet"])
    others = re.sub(r"\$\{NOTECAST_FRONT:-(.*?)\}", r"\1", network["ip_range"])
    assert ip_address(default) in IPv4Network(subnet)
    # No gateway that starts before Envoy gets its address.
    assert ip_address(default) not in IPv4Network(others)
    assert IPv4Network(others).subnet_of(IPv4Network(subnet))
