"""From breach to verified: mandates, merge lattice, planner, in-flight registry. Pure."""
