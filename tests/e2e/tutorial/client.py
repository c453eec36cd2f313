"""A client in the manner of the tutorial: a thread that reads, and a call for each note.

`client.py STUBS PORT NAME` sends each line of standard input, and prints each note that
it hears as `[name] message`. It knows nothing of Notecast.
"""

import sys
import threading

import grpc

sys.path.insert(0, sys.argv[1])

import chat_pb2 as chat  # type: ignore[import-not-found]
import chat_pb2_grpc as rpc  # type: ignore[import-not-found]


class Client:
    def __init__(self, port: int, name: str) -> None:
        self.name = name
        channel = grpc.insecure_channel("localhost:" + str(port))
        self.conn = rpc.ChatServerStub(channel)
        threading.Thread(target=self.listen_for_messages, daemon=True).start()

    def listen_for_messages(self) -> None:
        for note in self.conn.ChatStream(chat.Empty()):
            print(f"[{note.name}] {note.message}", flush=True)

    def send_message(self, message: str) -> None:
        note = chat.Note()
        note.name = self.name
        note.message = message
        self.conn.SendNote(note)


client = Client(int(sys.argv[2]), sys.argv[3])
for line in sys.stdin:
    client.send_message(line.rstrip("\n"))
