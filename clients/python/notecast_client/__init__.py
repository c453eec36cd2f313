"""A client of Notecast: an asynchronous library, and the command `notecast`.

The library is `notecast_client.client.Client`; its errors are in `notecast_client.errors`.
Nothing is imported here, so that the command answers `--help` without loading gRPC.
"""
