"""The guard that keeps futures traders from blowing up their accounts."""
