"""The guard as a service of the operating system: how it is installed, and what it tells who started it."""
