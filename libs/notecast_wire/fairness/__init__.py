"""Identifies clients, and bounds how much of shared resources one of them may hold."""
