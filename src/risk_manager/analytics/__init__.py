"""Pure measures over fills and round turns; none yet."""
