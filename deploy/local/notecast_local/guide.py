"""The text that tells how to chat."""

from notecast_local.ports import StackPorts
from notecast_local.settings import HOST

_READ = '{"subscriptions":[{"room":"lobby","from_start":true}]}'
_SEND = '{"room":"lobby","author":"ada","text":"hello"}'


def guide(ports: StackPorts, client: str) -> str:
    """Lists the commands to type in another shell.

    Args:
        ports: the ports of the stack.
        client: the path of the sample client.
    """
    address = f"localhost:{ports.clients}"
    service = f"{address} notecast.v1.ChatService"
    gateways = ", ".join(f"{HOST}:{port}" for port in ports.gateways)
    return f"""
Notecast runs on {address}. In other shells:

  chat      {client} --server {address} chat lobby
  list      grpcurl -plaintext {address} list
  read      grpcurl -plaintext -d '{_READ}' {service}/Subscribe
  send      grpcurl -plaintext -d '{_SEND}' {service}/SendNote
  tutorial  its client, unchanged, finds the ChatServer on localhost:{ports.tutorial}
  gateways  {gateways} (Envoy, above, spreads clients over them)

Ctrl-C stops everything; the notes stay.
"""
