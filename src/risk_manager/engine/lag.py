"""How far what is read may lag behind what is told."""

SNAPSHOT_LAG_NS = 2_000_000_000
"""How far a REST read may lag behind the stream (projectx.md 2.4: usually 50-200 ms, seconds at worst)."""
