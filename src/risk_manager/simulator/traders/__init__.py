"""Scripted traders, one file each."""
