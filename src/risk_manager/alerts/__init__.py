"""Alert routing; none yet."""
