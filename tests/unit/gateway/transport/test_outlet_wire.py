import pytest

from chat_gateway.transport.outlet_grpcio import GrpcioOutlet
from chat_gateway.transport.outlet_wire import WireTransport


async def test_an_audience_takes_no_stream_that_another_transport_carries() -> None:
    audience = WireTransport().make_audience()
    with pytest.raises(TypeError, match="GrpcioOutlet is no outlet of notecast_wire"):
        audience.add(GrpcioOutlet("unix:"))
    assert len(audience) == 0
