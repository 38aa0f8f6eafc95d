"""Planners: from a goal in words to a typed plan."""
