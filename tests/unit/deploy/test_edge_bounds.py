"""Envoy bounds a client before a gateway has to: gateways' connections carry everybody."""

from typing import Any

import yaml

from chat_gateway.settings import GatewaySettings
from notecast_local.envoy import CONFIGURATION
from notecast_wire.http2.limits import ConnectionLimits
from notecast_wire.rpc.options import ServerOptions

LIMITS = ConnectionLimits()
OCTETS_ROUND_A_FIELD = 8
"""In a header block: the kind, and two lengths of up to three octets each (RFC 7541, 6.2)."""
ADDED_OCTETS = 600
"""By Envoy: where the request comes from, and what gRPC-Web lacks."""


def manager() -> Any:  # noqa: ANN401 - of the file
    (listener,) = yaml.safe_load(CONFIGURATION.read_text())["static_resources"]["listeners"]
    (chain,) = listener["filter_chains"]
    (found,) = chain["filters"]
    return found["typed_config"]


def runtime(name: str) -> int:
    static, _ = yaml.safe_load(CONFIGURATION.read_text())["layered_runtime"]["layers"]
    value: int = static["static_layer"][name]
    return value


def upstream() -> Any:  # noqa: ANN401 - of the file
    (cluster,) = yaml.safe_load(CONFIGURATION.read_text())["static_resources"]["clusters"]
    (options,) = cluster["typed_extension_protocol_options"].values()
    return options["explicit_http_config"]["http2_protocol_options"]


def test_no_header_block_that_envoy_lets_through_ends_a_gateways_connection() -> None:
    fields = manager()["common_http_protocol_options"]["max_headers_count"]
    octets = manager()["max_request_headers_kb"] * 1024
    largest = octets + fields * OCTETS_ROUND_A_FIELD + ADDED_OCTETS
    assert largest < LIMITS.max_header_list_bytes * LIMITS.max_header_block_factor
    assert largest < LIMITS.max_continuations * 16_384


def test_a_gateway_says_what_is_too_large_before_envoy_resets_the_call() -> None:
    octets = manager()["max_request_headers_kb"] * 1024
    assert octets > LIMITS.max_header_list_bytes + ADDED_OCTETS


def test_envoy_ends_a_connection_of_resets_long_before_a_gateways_burst_is_used_up() -> None:
    # Half of the calls, reset within a second, are what ends it.
    at_most = runtime("overload.premature_reset_total_stream_count") / 2
    assert at_most <= LIMITS.reset_burst / 4
    assert runtime("overload.premature_reset_min_stream_lifetime_seconds") >= 1


def test_a_connection_of_a_client_has_at_most_its_share_of_a_gateways() -> None:
    share = GatewaySettings.model_fields["connection_share"].default
    streams = manager()["http2_protocol_options"]["max_concurrent_streams"]
    assert streams <= LIMITS.max_concurrent_streams * share


def test_envoy_opens_another_connection_to_a_gateway_before_the_shares_of_clients_count() -> None:
    assert upstream()["max_concurrent_streams"] <= LIMITS.undivided_streams


def test_all_streams_of_a_connection_may_be_slow_at_a_time() -> None:
    options = upstream()
    windows = options["max_concurrent_streams"] * options["initial_stream_window_size"]
    assert options["initial_connection_window_size"] >= windows


def test_frames_that_move_nothing_are_bounded_at_envoy() -> None:
    options = manager()["http2_protocol_options"]
    assert options["max_outbound_control_frames"] <= LIMITS.max_unread_replies
    assert options["max_consecutive_inbound_frames_with_empty_payload"] <= 10
    assert options["max_inbound_priority_frames_per_stream"] <= 100
    assert options["max_inbound_window_update_frames_per_data_frame_sent"] <= 10


def test_a_request_that_does_not_come_is_ended_by_the_gateway_and_else_by_envoy() -> None:
    seconds = float(manager()["request_timeout"].removesuffix("s"))
    assert ServerOptions().request_timeout < seconds <= 30


def test_streams_have_no_time_bound_at_envoy() -> None:
    assert manager()["stream_idle_timeout"] == "0s"
    assert "max_stream_duration" not in manager()["common_http_protocol_options"]
