"""The streams of clients, as the fan-out writes to them, on either transport."""
