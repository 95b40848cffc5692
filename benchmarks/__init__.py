"""Races of each module against the tools a professional would pick; see README.md beside this."""
