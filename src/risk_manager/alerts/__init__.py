"""Telling people and other machines."""
