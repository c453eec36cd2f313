"""What the gateway asks of the history service."""
