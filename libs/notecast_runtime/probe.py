"""Checks a server's health: `python -m notecast_runtime.probe HOST:PORT [SERVICE]`.

Exits with 0 if the service (`readiness` if none is named) is SERVING, with 1 if it is not or does
not answer within 2 seconds. For health checks inside containers.
"""

import sys
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

_DEADLINE_SECONDS = 2.0
_OPTIONS = (("grpc.enable_http_proxy", 0),)
"""A proxy of the environment is for outgoing traffic, not for programs on this machine."""


def probe(address: str, service: str) -> str:
    """Returns the status, such as SERVING, or the code of the error, such as UNAVAILABLE."""
    with grpc.insecure_channel(address, options=_OPTIONS) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)  # the type stubs know no methods
        try:
            answer = stub.Check(
                health_pb2.HealthCheckRequest(service=service), timeout=_DEADLINE_SECONDS
            )
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code.name
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


def main() -> int:
    """Runs the command; returns its exit code."""
    if not 2 <= len(sys.argv) <= 3:
        print(__doc__, file=sys.stderr)
        return 2
    status = probe(sys.argv[1], sys.argv[2] if len(sys.argv) == 3 else "readiness")
    print(status)
    return 0 if status == "SERVING" else 1


if __name__ == "__main__":
    sys.exit(main())
