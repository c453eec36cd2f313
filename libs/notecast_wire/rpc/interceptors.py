"""Server interceptors of which one answer serves all calls of a method."""

from grpc import aio


class MethodInterceptor(aio.ServerInterceptor):
    """An interceptor whose answer depends on the method alone.

    Where all interceptors of a server are of this kind, each is asked once for a method,
    at its first call, rather than for every call; the metadata that it is shown are of that
    first call and mean nothing. On a `grpc.aio` server it is an interceptor like others.
    """
