"""What must be done now and then so that memories stay in order: `purge` ends what can no longer be undone."""
