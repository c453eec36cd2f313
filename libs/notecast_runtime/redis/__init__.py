"""Connections to Redis, and the checks that each is to the data that we know."""
