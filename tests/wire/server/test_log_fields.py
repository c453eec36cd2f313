"""Each line of the log about a call names its connection, and behind a proxy its client."""

from __future__ import annotations  # grpc's types take parameters only for checkers

from contextlib import suppress
from typing import NoReturn

import grpc
import pytest
from grpc import aio
from structlog.testing import capture_logs

from notecast_wire import TrustedProxies
from tests.support.waiting import eventually
from tests.wire.calls.serving import Context, echo, serving, unary_unary

FORWARDED = (("x-forwarded-for", "203.0.113.7"),)
PROXIES = TrustedProxies.parse("127.0.0.1")


async def fail(_request: bytes, _context: Context) -> NoReturn:
    raise ValueError("a fault of ours")


async def complain(request: bytes, context: Context) -> bytes:
    context.add_done_callback(lambda _: unreadable(request))
    return request


def unreadable(_: bytes) -> NoReturn:
    raise ValueError("not what it should be")


class Failing(aio.ServerInterceptor):
    async def intercept_service(self, *_: object) -> NoReturn:
        raise ValueError("a fault of ours")


class Unusable(grpc.GenericRpcHandler):
    def service(self, _: grpc.HandlerCallDetails) -> NoReturn:
        raise ValueError("a fault of ours")


METHODS = {
    "Fail": unary_unary(fail),
    "Complain": unary_unary(complain),
    "Read": grpc.unary_unary_rpc_method_handler(echo, request_deserializer=unreadable),
}
LINES = {
    "call_failed": "Fail",
    "done_callback_failed": "Complain",
    "request_unreadable": "Read",
    "method_unusable": "Unknown",
}


async def line_of(
    event: str, method: str, *interceptors: aio.ServerInterceptor, proxied: bool
) -> dict[str, str]:
    """The line that a call of the method leads to."""
    async with serving(
        METHODS,
        handlers=[Unusable()],
        interceptors=interceptors,
        trusted_proxies=PROXIES if proxied else None,
    ) as served:
        with capture_logs() as logs:
            with suppress(aio.AioRpcError):
                await served.unary(method, metadata=FORWARDED)
            await eventually(
                lambda: event in [line["event"] for line in logs], f"a line of {event}"
            )
    return next(dict(line) for line in logs if line["event"] == event)


@pytest.mark.parametrize(("event", "method"), LINES.items())
@pytest.mark.parametrize("proxied", [False, True], ids=["direct", "proxied"])
async def test_a_line_about_a_call_names_its_connection_and_its_client(
    event: str, method: str, *, proxied: bool
) -> None:
    line = await line_of(event, method, proxied=proxied)
    assert line["peer"].startswith("ipv4:127.0.0.1:")
    assert line["connection"] == "#1"
    assert line.get("client") == ("203.0.113.7" if proxied else None)


@pytest.mark.parametrize("proxied", [False, True], ids=["direct", "proxied"])
async def test_a_line_about_an_interceptor_does_as_well(*, proxied: bool) -> None:
    line = await line_of("interceptor_failed", "Fail", Failing(), proxied=proxied)
    assert line["peer"].startswith("ipv4:127.0.0.1:")
    assert line["connection"] == "#1"
    assert line.get("client") == ("203.0.113.7" if proxied else None)
