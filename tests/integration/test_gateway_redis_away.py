"""Redis goes and comes back: callers are told in time, and everything goes on by itself."""

import asyncio
from collections.abc import Mapping, Sequence

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc import aio
from structlog.testing import capture_logs

from notecast.v1.chat_pb2 import ListNotesRequest, SubscribeRequest
from notecast_runtime.keyspace import heads_key, log_key, partition_of
from tests.support.health import health_of, wait_for_health, wait_until_serving
from tests.support.services import from_start, running_gateway, running_history, texts
from tests.support.statuses import reason_of
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually


def retry_delay_ms(error: aio.AioRpcError) -> int:
    for key, value in error.trailing_metadata():
        if key == "grpc-status-details-bin":
            for packed in status_pb2.Status.FromString(value).details:
                retry = error_details_pb2.RetryInfo()
                if packed.Unpack(retry):
                    return int(retry.retry_delay.ToMilliseconds())
    return 0


def events(logs: Sequence[Mapping[str, object]]) -> set[object]:
    return {line["event"] for line in logs}


async def test_without_redis_a_gateway_lives_and_is_not_ready(valkey: ValkeyProcess) -> None:
    """Liveness does not depend on Redis; readiness does."""
    valkey.stop()
    async with running_gateway(valkey.url, ready=False) as gateway:
        assert await health_of(gateway.target, "liveness") == "SERVING"
        for name in ("readiness", "", "notecast.v1.ChatService", "grpc.ChatServer"):
            assert await health_of(gateway.target, name) == "NOT_SERVING"
        valkey.start()
        for name in ("readiness", "", "notecast.v1.ChatService", "grpc.ChatServer"):
            await wait_until_serving(gateway.target, name)


async def test_a_send_without_redis_fails_at_once_and_says_when_to_try_again(
    valkey: ValkeyProcess,
) -> None:
    async with running_gateway(valkey.url) as gateway:
        with capture_logs() as logs:
            valkey.kill()
            with pytest.raises(aio.AioRpcError) as error:
                await gateway.send("lobby", "lost", deadline_seconds=5)
            await eventually(lambda: {"pipeline_lost", "live_feed_lost"} <= events(logs), "told")
        lost = [line for line in logs if line["event"] in {"pipeline_lost", "live_feed_lost"}]
        assert {line["address"] for line in lost} == {f"127.0.0.1:{valkey.port}"}
        assert error.value.code() is grpc.StatusCode.UNAVAILABLE
        assert retry_delay_ms(error.value) > 0
        await wait_for_health(gateway.target, "NOT_SERVING")
        assert await health_of(gateway.target, "liveness") == "SERVING"


async def test_a_redis_that_hangs_gets_an_answer_within_the_call_s_deadline(
    valkey: ValkeyProcess,
) -> None:
    async with running_gateway(valkey.url) as gateway:
        valkey.pause()
        with pytest.raises(aio.AioRpcError) as error:
            await gateway.send("lobby", "stuck", deadline_seconds=1)
        assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert reason_of(error.value) == "DEADLINE_EXCEEDED"  # as the gateway says it
        await wait_for_health(gateway.target, "NOT_SERVING")
        valkey.resume()
        await wait_until_serving(gateway.target)
        await gateway.send("lobby", "on again")


async def test_joining_and_paging_answer_within_the_call_s_deadline_too(
    valkey: ValkeyProcess,
) -> None:
    async with running_gateway(valkey.url) as gateway:
        place = (await gateway.send("lobby", "first")).cursor
        valkey.pause()
        page = ListNotesRequest(room="lobby", before=place)
        with pytest.raises(aio.AioRpcError) as error:
            await gateway.stub.ListNotes(page, timeout=1)
        assert reason_of(error.value) == "DEADLINE_EXCEEDED"
        wanted = SubscribeRequest(subscriptions=[from_start("lobby")])
        with pytest.raises(aio.AioRpcError) as error:
            await gateway.stub.Subscribe(wanted, timeout=1).read()
        assert reason_of(error.value) == "DEADLINE_EXCEEDED"
        valkey.resume()


async def test_a_redis_that_hangs_for_longer_than_our_own_bound_is_what_the_call_is_told_of(
    valkey: ValkeyProcess,
) -> None:
    async with running_gateway(valkey.url, redis_timeout_seconds=0.3) as gateway:
        valkey.pause()
        with pytest.raises(aio.AioRpcError) as error:
            await gateway.send("lobby", "stuck", deadline_seconds=10)
        assert error.value.code() is grpc.StatusCode.UNAVAILABLE
        assert reason_of(error.value) == "REDIS_UNAVAILABLE"
        assert retry_delay_ms(error.value) > 0
        valkey.resume()


async def test_a_join_without_redis_is_refused_as_retryable(valkey: ValkeyProcess) -> None:
    async with running_gateway(valkey.url, redis_timeout_seconds=0.5) as gateway:
        valkey.kill()
        with pytest.raises(aio.AioRpcError) as error:
            await gateway.read("lobby").event()
        assert error.value.code() is grpc.StatusCode.UNAVAILABLE
        assert retry_delay_ms(error.value) > 0


async def test_a_partition_that_can_not_be_read_takes_no_other_partition_s_rooms_with_it(
    valkey: ValkeyProcess,
) -> None:
    assert partition_of("broken") != partition_of("lobby")
    async with (
        running_gateway(valkey.url) as gateway,
        gateway.read("lobby") as open_before,
        gateway.read("broken"),
    ):
        with capture_logs() as logs:
            with valkey.client() as redis:
                redis.set(heads_key(partition_of("broken")), "no hash")
            await eventually(lambda: "partition_failed" in events(logs), "it is told")
            broken, lobby = gateway.read("broken"), gateway.read("lobby")  # in one question
            async with lobby as opened_behind:
                with pytest.raises(aio.AioRpcError, match="holds something else") as error:
                    await broken.event()
                assert error.value.code() is grpc.StatusCode.UNAVAILABLE
                await gateway.send("lobby", "heard")
                for reader in (open_before, opened_behind):
                    assert texts(await reader.notes(1)) == ["heard"]
            assert await health_of(gateway.target, "readiness") == "SERVING"
        [failed] = [line for line in logs if line["event"] == "partition_failed"]
        assert failed["partition"] == partition_of("broken")
        assert "WRONGTYPE" in str(failed["error"])
        assert "condition_changed" not in events(logs)


async def test_open_streams_go_on_when_redis_is_back(valkey: ValkeyProcess) -> None:
    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history) as gateway,
        gateway.read("lobby") as reader,
    ):
        await gateway.send("lobby", "before")
        assert texts(await reader.notes(1)) == ["before"]
        valkey.stop()
        await wait_for_health(gateway.target, "NOT_SERVING")
        valkey.start()
        await wait_until_serving(gateway.target)
        await gateway.send("lobby", "after")
        assert texts(await reader.notes(1)) == ["after"]


async def test_what_is_published_while_the_subscription_is_cut_arrives_in_order(
    valkey: ValkeyProcess,
) -> None:
    """Nothing is missing, although no history service runs: the outbox fills the gaps."""
    async with running_gateway(valkey.url) as gateway, gateway.read("lobby") as reader:
        cutting = asyncio.create_task(cut_subscriptions_until_cancelled(valkey))
        for number in range(300):
            await gateway.send("lobby", f"n{number}")
        assert texts(await reader.notes(300)) == [f"n{number}" for number in range(300)]
        cutting.cancel()


async def cut_subscriptions_until_cancelled(valkey: ValkeyProcess) -> None:
    with valkey.client() as redis:
        while True:
            await eventually(lambda: redis.client_kill_filter(_type="pubsub"), "one is cut")


async def test_a_lost_message_without_a_successor_is_noticed(valkey: ValkeyProcess) -> None:
    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history) as deaf,
        running_gateway(valkey.url, history) as other,
        deaf.read("lobby") as reader,
    ):
        with valkey.client() as redis:
            redis.client_kill_filter(_type="pubsub")
            await other.send("lobby", "unheard")
        assert texts(await reader.notes(1)) == ["unheard"]


async def test_live_chat_goes_on_without_history_and_replay_waits_for_it(
    valkey: ValkeyProcess,
) -> None:
    async with running_history(valkey.url) as history:
        pass  # its port is known, and nobody listens there now
    port = int(history.rpartition(":")[2])
    async with running_gateway(valkey.url, history) as gateway, gateway.read("lobby") as live:
        await gateway.send("lobby", "one")
        assert texts(await live.notes(1)) == ["one"]
        async with gateway.read("lobby") as other:
            await gateway.send("lobby", "two")
            assert texts(await live.notes(1)) == ["two"]
            assert texts(await other.notes(1)) == ["two"]
            async with (
                running_gateway(valkey.url, history) as late,
                late.read(from_start("lobby")) as replayed,
                running_history(valkey.url, listen_port=port),
            ):
                assert texts(await replayed.notes(2)) == ["one", "two"]


async def test_a_cursor_older_than_retention_is_told_what_remains(
    valkey: ValkeyProcess,
) -> None:
    async with (
        running_history(valkey.url, retention_notes=3) as history,
        running_gateway(valkey.url, history) as writer,
        running_gateway(valkey.url, history) as gateway,
    ):
        first = (await writer.send("lobby", "n1")).cursor
        for number in range(2, 11):
            await writer.send("lobby", f"n{number}")
        await _persisted(valkey, "lobby", 10)
        wanted = from_start("lobby")
        wanted.after.CopyFrom(first)
        async with gateway.read(wanted) as reader:
            event = await reader.event()
            assert event.discontinuity.after == first
            assert event.discontinuity.resumes_at.sequence == 8
            assert await reader.kinds(4) == ["n8", "n9", "n10", "caught_up"]
        async with gateway.read(from_start("lobby")) as reader:
            assert await reader.kinds(4) == ["n8", "n9", "n10", "caught_up"]


async def _persisted(valkey: ValkeyProcess, room: str, sequence: int) -> None:

    def done() -> bool:
        with valkey.client() as redis:
            return any(
                id_ == b"%d-0" % sequence for id_, _ in redis.xrevrange(log_key(room), count=1)
            )

    await eventually(done, f"{room} is persisted up to {sequence}")


async def test_a_redis_that_forgot_everything_is_told_to_open_streams(
    valkey: ValkeyProcess,
) -> None:
    """A Redis that lost all data begins a new epoch; the client is told what it lost."""
    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history) as gateway,
        gateway.read("lobby") as reader,
    ):
        for number in range(3):
            await gateway.send("lobby", f"old{number}")
        assert texts(await reader.notes(3)) == ["old0", "old1", "old2"]
        with valkey.client() as redis:
            redis.flushall()
        await gateway.send("lobby", "new")
        event = await reader.event()
        assert event.discontinuity.after.sequence == 3
        assert event.discontinuity.resumes_at.sequence == 1
        assert texts(await reader.notes(1)) == ["new"]
