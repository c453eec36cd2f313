"""Server interceptors that are asked once for a method."""

from grpc import aio


class MethodInterceptor(aio.ServerInterceptor):
    """An interceptor whose answer depends on the method alone.

    If all interceptors of a server are of this kind, each is asked once for a method, at its first
    call, not at every call. Ignore the metadata that it gets: they are those of the first call. On
    a `grpc.aio` server it works like any other interceptor.
    """
