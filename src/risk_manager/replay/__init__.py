"""Replay: what an engine received, given to an engine again."""
