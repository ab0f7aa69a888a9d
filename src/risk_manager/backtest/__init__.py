"""Hosts for other backtesters; none yet."""
