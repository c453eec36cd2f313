"""Clients' streams as the fan-out writes to them, whatever carries them."""
