"""Malformed and unusual photo files, generated at each run."""
