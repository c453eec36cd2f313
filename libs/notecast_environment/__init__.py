"""Knows the variables of the environment that all programs of the project share."""
