"""One folder per real venue."""
