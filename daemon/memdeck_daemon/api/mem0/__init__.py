"""The two dialects of mem0 over one service."""
