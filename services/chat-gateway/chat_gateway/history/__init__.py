"""Reads from the history service."""
