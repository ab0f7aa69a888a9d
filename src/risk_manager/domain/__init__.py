"""Frozen values and the closed unions every other room speaks in. No I/O, no clock, integers only."""
