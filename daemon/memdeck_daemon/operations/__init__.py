"""What keeps the daemon alive and seen. Knows nothing of memories: what it needs of them stands in `ports`."""
