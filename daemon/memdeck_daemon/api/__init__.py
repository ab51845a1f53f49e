"""The ways in: HTTP in mem0's two dialects, native routes, operations, access."""
