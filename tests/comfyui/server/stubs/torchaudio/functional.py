"""Imported at module level; never called by a test."""
