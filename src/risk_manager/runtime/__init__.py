"""The daemon: the one clock, the one composition root."""
