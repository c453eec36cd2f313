"""gRPC on top of HTTP/2: messages, metadata, statuses, methods. No I/O."""
