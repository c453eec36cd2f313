"""A server like the one that the first Python gRPC chat tutorial builds.

One process, a list of notes in memory, ten worker threads. Each stream keeps a worker, which
looks for new notes in a loop without end, also when its client has left: that is how the
tutorial's loop is written, and what this server is measured for.
`python -m benchmarks.tutorial_server PORT`.
"""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc

from tutorial.chat_pb2 import Empty, Note
from tutorial.chat_pb2_grpc import ChatServerServicer, add_ChatServerServicer_to_server

_WORKERS = 10


class TutorialServer(ChatServerServicer):
    """All notes that were ever sent, in one list."""

    def __init__(self) -> None:
        self._notes: list[Note] = []

    def ChatStream(self, request: Empty, context: grpc.ServicerContext) -> Iterator[Note]:  # noqa: ARG002, N802
        """As in the tutorial's chat.proto."""
        position = 0
        while True:
            while position < len(self._notes):
                yield self._notes[position]
                position += 1

    def SendNote(self, request: Note, context: grpc.ServicerContext) -> Empty:  # noqa: ARG002, N802
        """As in the tutorial's chat.proto."""
        self._notes.append(request)
        return Empty()


def main() -> None:
    """Serves on the port that is given, until it is ended."""
    server = grpc.server(ThreadPoolExecutor(max_workers=_WORKERS))
    add_ChatServerServicer_to_server(TutorialServer(), server)
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
