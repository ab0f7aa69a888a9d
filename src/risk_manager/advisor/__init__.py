"""Behaviour intelligence; none yet."""
