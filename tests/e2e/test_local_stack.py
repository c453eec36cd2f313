import asyncio

from notecast_runtime.probe import probe
from tests.support.local_stack import LocalStack
from tests.support.reading_client import ReadingClient
from tests.support.sending import send_all


async def test_a_note_reaches_the_stream_that_was_open_and_the_one_opened_later(
    stack: LocalStack,
) -> None:
    async with ReadingClient(stack.target, "early and late") as early:
        await send_all([stack.target], "early and late", ["hello"])
        await early.holds(1)
        async with ReadingClient(stack.target, "early and late", from_start=True) as late:
            await late.holds(1)
    assert early.texts == late.texts == ["hello"]


async def test_every_stream_of_both_gateways_has_all_notes_of_both_in_order_once(
    stack: LocalStack,
) -> None:
    texts = [f"note {number}" for number in range(1000)]
    clients = [ReadingClient(gateway, "busy") for gateway in stack.gateways for _ in range(20)]
    assert len(clients) == 40
    async with asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(client.__aenter__())
    try:
        acknowledged = await send_all(stack.gateways, "busy", texts)
        await asyncio.gather(*(client.holds(1000) for client in clients))
    finally:
        await asyncio.gather(*(client.__aexit__(None, None, None) for client in clients))
    assert sorted(acknowledged) == sorted(texts)
    in_order = sorted(acknowledged, key=acknowledged.__getitem__)
    for client in clients:
        assert client.sequences == list(range(1, 1001))
        assert client.texts == in_order
        assert client.reconnects == 0


async def test_envoy_hands_health_checks_to_a_gateway_on_both_ports(stack: LocalStack) -> None:
    for port in (stack.port, stack.tutorial_port):
        for service in ("", "liveness", "readiness", "notecast.v1.ChatService", "grpc.ChatServer"):
            answer = await asyncio.to_thread(probe, f"127.0.0.1:{port}", service)
            assert (service, answer) == (service, "SERVING")
