"""Loads, validates and composes settings; turns them into rule objects."""
