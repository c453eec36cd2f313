"""The server: its sockets and connections, and which handler a request goes to."""
