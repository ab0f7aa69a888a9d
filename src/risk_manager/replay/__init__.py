"""Replay of recorded events and imported fills; none yet."""
