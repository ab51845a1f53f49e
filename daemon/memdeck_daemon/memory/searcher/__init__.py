"""Searches in the memories of big owners, in a process of their own: they share neither Python's lock nor a crash with the API."""
