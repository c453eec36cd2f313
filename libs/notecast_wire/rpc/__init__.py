"""What gRPC adds to HTTP/2: messages, metadata, statuses, methods. No I/O."""
