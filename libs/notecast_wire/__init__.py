"""A gRPC server for asyncio that delivers one message to many streams in one write."""
