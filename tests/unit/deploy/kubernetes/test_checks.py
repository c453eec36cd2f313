"""Each check is red for what it is there for."""

import pytest

from deploy.checks.check_network import check_network
from deploy.checks.check_ports import check_ports
from deploy.checks.check_probes import check_probes
from deploy.checks.check_references import check_references
from deploy.checks.check_scaling import check_scaling
from deploy.checks.check_security import check_security
from deploy.checks.check_settings import check_settings
from deploy.checks.check_stopping import check_stopping
from deploy.checks.manifests import host_and_port, selects
from tests.unit.deploy.kubernetes.conftest import Overlay

PROGRAMS = pytest.mark.parametrize("program", ["chat-gateway", "history"])
PROBES = pytest.mark.parametrize("probe", ["startupProbe", "livenessProbe", "readinessProbe"])


@PROGRAMS
@PROBES
def test_a_probe_of_an_unknown_service_is_found(local: Overlay, program: str, probe: str) -> None:
    local.container(program)[probe]["grpc"]["service"] = "readyness"  # codespell:ignore
    (finding,) = local.says(check_probes)
    assert finding.startswith(f"Deployment/{program}: {probe} asks for 'readyness'")


@PROGRAMS
@PROBES
def test_a_probe_on_another_port_is_found(local: Overlay, program: str, probe: str) -> None:
    local.container(program)[probe]["grpc"]["port"] = 50053
    (finding,) = local.says(check_probes)
    assert "asks on port 50053" in finding


@PROGRAMS
@PROBES
def test_a_missing_probe_is_found(local: Overlay, program: str, probe: str) -> None:
    del local.container(program)[probe]
    (finding,) = local.says(check_probes)
    assert f"has no {probe}" in finding


def test_a_liveness_probe_that_depends_on_redis_is_found(local: Overlay) -> None:
    local.container("chat-gateway")["livenessProbe"]["grpc"]["service"] = "readiness"
    (finding,) = local.says(check_probes)
    assert "asks for 'readiness' instead of 'liveness'" in finding


def test_a_probe_by_another_protocol_is_found(local: Overlay) -> None:
    local.container("history")["livenessProbe"] = {"tcpSocket": {"port": "grpc"}}
    (finding,) = local.says(check_probes)
    assert "does not ask by gRPC" in finding


def test_a_probe_on_a_port_name_that_is_not_there_is_found(local: Overlay) -> None:
    local.container("envoy")["readinessProbe"]["tcpSocket"]["port"] = "admin"
    (finding,) = local.says(check_probes)
    assert finding.startswith("Deployment/envoy: readinessProbe asks on port admin")


@PROGRAMS
def test_a_container_port_on_which_the_program_does_not_listen_is_found(
    local: Overlay, program: str
) -> None:
    local.container(program)["ports"][0]["containerPort"] = 50060
    assert any("the program listens on" in finding for finding in local.says(check_ports))


@PROGRAMS
def test_a_program_that_is_told_to_listen_elsewhere_is_found(local: Overlay, program: str) -> None:
    local.settings(program)["NOTECAST_LISTEN_PORT"] = "50060"
    assert any("the program listens on 50060" in finding for finding in local.says(check_ports))


@pytest.mark.parametrize("name", ["chat-gateway", "history", "envoy", "redis"])
def test_a_service_that_leads_to_no_port_is_found(local: Overlay, name: str) -> None:
    local.get("Service", name)["spec"]["ports"][0]["targetPort"] = 1234
    (finding,) = local.says(check_ports)
    assert finding == f"Service/{name}: {name} has no port 1234"


def test_a_gateways_service_on_another_port_than_envoy_calls_is_found(local: Overlay) -> None:
    local.get("Service", "chat-gateway")["spec"]["ports"][0]["port"] = 80
    findings = local.says(check_ports)
    assert "Deployment/envoy: Envoy calls chat-gateway:50051, which no Service takes" in findings
    assert "Service/chat-gateway: it is headless: 80 does not lead to 50051" in findings


def test_a_gateways_service_behind_which_envoy_sees_one_address_is_found(local: Overlay) -> None:
    del local.get("Service", "chat-gateway")["spec"]["clusterIP"]
    (finding,) = local.says(check_ports)
    assert "not headless" in finding


def test_envoy_listening_on_other_ports_than_its_container_is_found(local: Overlay) -> None:
    configuration = local.settings("envoy")
    configuration["envoy.yaml"] = configuration["envoy.yaml"].replace("11912", "11913")
    (finding,) = local.says(check_ports)
    assert "Envoy listens on [8080, 11913], the container has [8080, 11912]" in finding


def test_envoy_without_its_configuration_is_found(local: Overlay) -> None:
    local.pod("envoy")["volumes"] = []
    (finding,) = local.says(check_ports)
    assert "no pod mounts a ConfigMap with envoy.yaml" in finding


def test_a_history_target_that_leads_nowhere_is_found(local: Overlay) -> None:
    local.settings("chat-gateway")["NOTECAST_HISTORY_TARGET"] = "dns:///history:50055"
    (finding,) = local.says(check_ports)
    assert "NOTECAST_HISTORY_TARGET=dns:///history:50055 leads to no Service's port" in finding


def test_a_redis_url_that_leads_nowhere_is_found(local: Overlay) -> None:
    local.container("history")["env"][0]["value"] = "redis://valkey:6379/0"
    (finding,) = local.says(check_ports)
    assert "NOTECAST_REDIS_URL" in finding


@pytest.mark.parametrize("kind", ["Service", "PodDisruptionBudget"])
def test_a_selector_that_takes_nothing_is_found(local: Overlay, kind: str) -> None:
    selector = local.get(kind, "history")["spec"]["selector"]
    selector.get("matchLabels", selector)["app.kubernetes.io/name"] = "histroy"  # codespell:ignore
    (finding,) = local.says(check_references)
    assert finding.startswith(f"{kind}/history: its selector should take the pods of one part")


def test_a_deployment_that_does_not_select_its_own_pods_is_found(local: Overlay) -> None:
    local.workload("envoy")["spec"]["selector"]["matchLabels"] = {"app": "envoy"}
    (finding,) = local.says(check_references)
    assert finding == "Deployment/envoy: its selector does not take its own pods"


def test_a_spread_of_other_pods_is_found(local: Overlay) -> None:
    constraint = local.pod("envoy")["topologySpreadConstraints"][0]
    constraint["labelSelector"]["matchLabels"] = {"app.kubernetes.io/name": "chat-gateway"}
    (finding,) = local.says(check_references)
    assert "topology spread" in finding


def test_an_autoscaler_of_what_is_not_there_is_found(production: Overlay) -> None:
    scaler = production.get("HorizontalPodAutoscaler", "chat-gateway")
    scaler["spec"]["scaleTargetRef"]["name"] = "gateway"
    (finding,) = production.says(check_references)
    assert "there is no Deployment/gateway to scale" in finding


def test_an_object_in_another_namespace_is_found(local: Overlay) -> None:
    del local.get("StatefulSet", "redis")["metadata"]["namespace"]
    assert local.says(check_references) == [
        "StatefulSet/redis: it is not in the namespace notecast"
    ]


@pytest.mark.parametrize("kind", ["ConfigMap", "ServiceAccount"])
def test_a_pod_that_names_an_object_that_is_not_there_is_found(local: Overlay, kind: str) -> None:
    local.remove(kind, "history")
    (finding,) = local.says(check_references)
    assert finding.startswith(f"Deployment/history: it names {kind}/history")


def test_a_secret_that_is_not_there_is_found(production: Overlay) -> None:
    production.remove("Secret", "redis")
    assert len(production.says(check_references)) == 2


@PROGRAMS
def test_a_grace_that_is_too_short_is_found(local: Overlay, program: str) -> None:
    local.pod(program)["terminationGracePeriodSeconds"] = 15
    (finding,) = local.says(check_stopping)
    assert finding.startswith(f"Deployment/{program}: terminationGracePeriodSeconds is 15")


def test_a_stop_that_is_too_long_for_the_grace_is_found(local: Overlay) -> None:
    local.settings("chat-gateway")["NOTECAST_SHUTDOWN_GRACE_SECONDS"] = "60"
    (finding,) = local.says(check_stopping)
    assert "the program" in finding


def test_a_sleep_in_a_command_counts_as_well(local: Overlay) -> None:
    local.pod("envoy")["terminationGracePeriodSeconds"] = 12
    (finding,) = local.says(check_stopping)
    assert "preStop takes 10 s" in finding


def test_a_pod_that_names_no_grace_has_that_of_kubernetes(local: Overlay) -> None:
    del local.pod("chat-gateway")["terminationGracePeriodSeconds"]
    local.container("chat-gateway")["lifecycle"]["preStop"] = {"sleep": {"seconds": 26}}
    (finding,) = local.says(check_stopping)
    assert "terminationGracePeriodSeconds is 30" in finding


@PROGRAMS
def test_a_setting_that_the_code_does_not_know_is_found(local: Overlay, program: str) -> None:
    local.settings(program)["NOTECAST_LOGLEVEL"] = "info"
    (finding,) = local.says(check_settings)
    assert finding == f"Deployment/{program}: NOTECAST_LOGLEVEL is no setting of the code"


@PROGRAMS
def test_a_setting_that_nobody_accounts_for_is_found(local: Overlay, program: str) -> None:
    del local.settings(program)["NOTECAST_LOG_LEVEL"]
    (finding,) = local.says(check_settings)
    assert "NOTECAST_LOG_LEVEL is neither set nor in settings-at-default.yaml" in finding


def test_a_value_that_the_code_refuses_is_found(local: Overlay) -> None:
    local.settings("history")["NOTECAST_RETENTION_NOTES"] = "many"
    (finding,) = local.says(check_settings)
    assert finding.startswith("Deployment/history: NOTECAST_RETENTION_NOTES=many")


def test_a_setting_that_is_set_and_listed_as_left_at_its_default_is_found(local: Overlay) -> None:
    local.settings("history")["NOTECAST_PERSIST_BATCH"] = "32"
    (finding,) = local.says(check_settings)
    assert "NOTECAST_PERSIST_BATCH is set, and in settings-at-default.yaml as well" in finding


def test_a_listed_setting_that_the_code_no_longer_has_or_that_has_no_reason_is_found(
    local: Overlay,
) -> None:
    listed = {"NOTECAST_OLD": "it was", **local.facts.at_default["history"]}
    listed["NOTECAST_PERSIST_BATCH"] = ""
    local.facts = local.facts._replace(at_default={**local.facts.at_default, "history": listed})
    without_reason, no_setting = local.says(check_settings)
    assert "NOTECAST_PERSIST_BATCH is neither set nor in settings-at-default.yaml" in without_reason
    assert "NOTECAST_OLD is in settings-at-default.yaml and no setting of the code" in no_setting


def test_what_this_process_is_told_is_not_what_the_pods_are_told(
    local: Overlay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTECAST_LISTEN_PORT", "many")
    assert local.says(check_settings) == []


def test_a_policy_that_takes_no_pods_is_found(local: Overlay) -> None:
    policy = local.get("NetworkPolicy", "redis")
    policy["spec"]["podSelector"]["matchLabels"] = {"app.kubernetes.io/name": "valkey"}
    findings = local.says(check_network)
    assert "NetworkPolicy/redis: it takes no pods" in findings
    assert "NetworkPolicy: history can't call redis" in findings


def test_a_policy_that_permits_pods_that_do_not_exist_is_found(local: Overlay) -> None:
    policy = local.get("NetworkPolicy", "history")
    policy["spec"]["ingress"][0]["from"][0]["podSelector"]["matchLabels"] = {"app": "gateway"}
    findings = local.says(check_network)
    assert "NetworkPolicy/history: it permits pods that do not exist" in findings
    assert "NetworkPolicy: chat-gateway can't call history" in findings


@pytest.mark.parametrize("name", ["chat-gateway", "history", "envoy", "redis"])
def test_a_policy_on_another_port_is_found(local: Overlay, name: str) -> None:
    local.get("NetworkPolicy", name)["spec"]["ingress"][0]["ports"][0]["port"] = 1234
    assert any(f"may call {name} on port 1234" in finding for finding in local.says(check_network))


def test_a_policy_that_permits_every_port_is_found(local: Overlay) -> None:
    del local.get("NetworkPolicy", "redis")["spec"]["ingress"][0]["ports"]
    assert any("may call redis on every port" in finding for finding in local.says(check_network))


def test_an_arrow_that_the_architecture_does_not_have_is_found(local: Overlay) -> None:
    rule = {"from": [{"podSelector": {}}], "ports": [{"port": 6379}]}
    local.get("NetworkPolicy", "redis")["spec"]["ingress"].append(rule)
    assert "NetworkPolicy: envoy may call redis, and has no reason to" in local.says(check_network)


def test_a_way_out_that_no_part_needs_is_found(local: Overlay) -> None:
    local.get("NetworkPolicy", "history")["spec"]["egress"] = [{}]
    assert local.says(check_network) == [
        "NetworkPolicy: history may call anyone, and has no reason to"
    ]


def test_that_nothing_denies_the_rest_is_found(local: Overlay) -> None:
    local.remove("NetworkPolicy", "nothing")
    assert local.says(check_network) == ["NetworkPolicy: nothing denies what no policy permits"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"runAsNonRoot": False}, "runAsNonRoot"),
        ({"runAsUser": 10002}, "runAsUser is 10002, not the image's own user"),
        ({"seccompProfile": {"type": "Unconfined"}}, "seccompProfile"),
    ],
)
def test_a_pod_with_other_rights_than_the_images_user_needs_is_found(
    local: Overlay, change: dict[str, object], says: str
) -> None:
    local.pod("chat-gateway")["securityContext"] |= change
    (finding,) = local.says(check_security)
    assert says in finding


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"allowPrivilegeEscalation": True}, "allowPrivilegeEscalation"),
        ({"readOnlyRootFilesystem": False}, "root file system"),
        ({"capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]}}, "capabilities"),
        ({"privileged": True}, "privileged"),
    ],
)
def test_a_container_with_rights_that_it_does_not_need_is_found(
    local: Overlay, change: dict[str, object], says: str
) -> None:
    local.container("redis")["securityContext"] |= change
    (finding,) = local.says(check_security)
    assert says in finding


def test_a_mounted_token_is_found(local: Overlay) -> None:
    del local.pod("history")["automountServiceAccountToken"]
    local.get("ServiceAccount", "history")["automountServiceAccountToken"] = True
    assert len(local.says(check_security)) == 2


def test_a_pod_on_the_nodes_own_network_is_found(local: Overlay) -> None:
    local.pod("envoy")["hostNetwork"] = True
    (finding,) = local.says(check_security)
    assert "shares something with the node" in finding


def test_a_namespace_without_pod_security_is_found(local: Overlay) -> None:
    local.get("Namespace", "notecast")["metadata"]["labels"].clear()
    (finding,) = local.says(check_security)
    assert "does not enforce" in finding


@pytest.mark.parametrize("kind", ["requests", "limits"])
def test_unbounded_resources_are_found(local: Overlay, kind: str) -> None:
    del local.container("envoy")["resources"][kind]["memory"]
    (finding,) = local.says(check_security)
    assert finding == f"Deployment/envoy: envoy has no memory in its {kind}"


def test_an_autoscaler_that_each_apply_would_undo_is_found(production: Overlay) -> None:
    production.workload("chat-gateway")["spec"]["replicas"] = 2
    (finding,) = production.says(check_scaling)
    assert "names replicas" in finding


def test_an_autoscaler_by_a_share_of_no_request_is_found(production: Overlay) -> None:
    del production.container("chat-gateway")["resources"]["requests"]["cpu"]
    (finding,) = production.says(check_scaling)
    assert "requests no cpu to go by" in finding


@pytest.mark.parametrize("allowed", [0, 2, "50%"])
def test_a_budget_that_lets_all_replicas_go_or_none_is_found(
    local: Overlay, allowed: int | str
) -> None:
    local.get("PodDisruptionBudget", "envoy")["spec"]["maxUnavailable"] = allowed
    (finding,) = local.says(check_scaling)
    assert finding.startswith("PodDisruptionBudget/envoy: of 2 replicas")


def test_a_part_without_a_budget_or_a_spread_is_found(local: Overlay) -> None:
    local.remove("PodDisruptionBudget", "envoy")
    local.pod("envoy")["topologySpreadConstraints"] = []
    assert len(local.says(check_scaling)) == 2


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("dns:///history:50052", ("history", 50052)),
        ("history:50052", ("history", 50052)),
        ("redis://redis:6379/0", ("redis", 6379)),
        ("rediss://user:pass@redis.example.com:6380/2?x=y", ("redis.example.com", 6380)),
        ("unix:///run/redis.sock", None),
    ],
)
def test_host_and_port_are_read_from_targets_and_urls(
    address: str, parts: tuple[str, int] | None
) -> None:
    assert host_and_port(address) == parts


@pytest.mark.parametrize(
    ("operator", "values", "taken"),
    [
        ("In", ["a", "b"], True),
        ("In", ["b"], False),
        ("NotIn", ["b"], True),
        ("NotIn", ["a"], False),
        ("Exists", [], True),
        ("DoesNotExist", [], False),
    ],
)
def test_a_selectors_expressions_mean_what_kubernetes_says(
    operator: str,
    values: list[str],
    taken: bool,  # noqa: FBT001 - what is expected
) -> None:
    expression = {"key": "part", "operator": operator, "values": values}
    assert selects({"matchExpressions": [expression]}, {"part": "a"}) is taken


def test_envoy_and_gateways_count_the_same_proxies(local: Overlay) -> None:
    assert local.says(check_settings) == []
    local.settings("envoy-settings")["NOTECAST_TRUSTED_HOPS"] = "2"
    (said,) = local.says(check_settings)
    assert "NOTECAST_TRUSTED_HOPS differs" in said
