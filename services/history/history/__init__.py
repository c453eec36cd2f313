"""Persists every accepted note, and reads the logs of rooms."""
