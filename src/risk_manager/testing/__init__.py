"""Fakes and scenario builders, shipped for rule authors."""
