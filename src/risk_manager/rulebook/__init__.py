"""Prop-firm rule presets as data; none yet."""
