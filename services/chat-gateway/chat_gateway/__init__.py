"""The client API: accepts notes, fans them out, and relays the logs of rooms."""
