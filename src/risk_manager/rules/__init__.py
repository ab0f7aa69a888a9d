"""One file per account rule; modules are found by name."""
