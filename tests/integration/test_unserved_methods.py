"""A contract that says more than what is served."""

import pytest
from google.protobuf.descriptor import ServiceDescriptor

import chat_gateway.api.handlers
import history.__main__
from history.service import CONTRACT
from notecast_runtime.registration import UnservedMethodError
from tests.support.contracts import with_method
from tests.support.services import running_gateway, running_history
from tests.support.valkey import ValkeyProcess


@pytest.mark.parametrize(
    ("attribute", "service"),
    [("_CHAT", "notecast.v1.ChatService"), ("_TUTORIAL", "grpc.ChatServer")],
)
async def test_a_gateway_does_not_start_where_nobody_serves_a_method(
    attribute: str, service: str, valkey: ValkeyProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract: ServiceDescriptor = getattr(chat_gateway.api.handlers, attribute)
    extended = with_method(contract, "ListMembers")
    monkeypatch.setattr(chat_gateway.api.handlers, attribute, extended)
    with pytest.raises(UnservedMethodError, match=f"{service}/ListMembers"):
        async with running_gateway(valkey.url):
            pass


async def test_history_does_not_start_where_nobody_serves_a_method(
    valkey: ValkeyProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    extended = with_method(CONTRACT, "ListMembers")
    monkeypatch.setattr(history.__main__, "CONTRACT", extended)
    with pytest.raises(UnservedMethodError, match=r"notecast\.v1\.HistoryService/ListMembers"):
        async with running_history(valkey.url):
            pass
