"""Inputs that once failed, each run as it is, and judged by what it prints."""
