"""Readiness is an assignment: whoever reports it waits for nobody who is told."""

import asyncio

import pytest
from grpc_health.v1.health_pb2 import HealthCheckResponse

from notecast_runtime.health import Health

SERVING = HealthCheckResponse.SERVING
NOT_SERVING = HealthCheckResponse.NOT_SERVING


def test_all_names_but_liveness_are_serving_while_every_condition_holds() -> None:
    health = Health(["chat.Service"], ["redis", "feed"])
    names = ("", "readiness", "chat.Service")
    for redis, feed in ((True, False), (False, True), (True, True), (False, False)):
        health.report("redis", holds=redis)
        health.report("feed", holds=feed)
        expected = SERVING if redis and feed else NOT_SERVING
        assert {health.status(name) for name in names} == {expected}
        assert health.status("liveness") == SERVING
    assert set(health.statuses()) == {*names, "liveness"}
    assert health.status("another") is None


def test_a_condition_that_was_not_announced_is_refused() -> None:
    with pytest.raises(KeyError):
        Health([], ["redis"]).report("rdeis", holds=True)


def test_after_stop_nothing_makes_it_ready_again() -> None:
    health = Health([], ["redis"])
    health.report("redis", holds=True)
    health.stop()
    health.report("redis", holds=False)
    health.report("redis", holds=True)
    assert not health.ready
    assert health.status("liveness") == SERVING


def test_only_a_change_of_readiness_wakes_who_waits_for_one() -> None:
    health = Health([], ["redis", "feed"])
    changed = health.changed
    health.report("redis", holds=True)
    health.report("redis", holds=True)
    assert not changed.is_set()
    health.report("feed", holds=True)
    assert changed.is_set()
    assert isinstance(health.changed, asyncio.Event)
    assert not health.changed.is_set()
