"""Runs all of Notecast as local processes."""
