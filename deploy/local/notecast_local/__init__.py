"""Runs the whole of Notecast as local processes."""
