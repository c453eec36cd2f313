"""Measures what the system delivers for its CPU time, beside other servers under the same load."""
