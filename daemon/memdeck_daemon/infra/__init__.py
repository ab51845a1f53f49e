"""Stores and the machine. Knows nothing of memories or backups."""
