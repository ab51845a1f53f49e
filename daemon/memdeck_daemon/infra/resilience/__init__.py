"""What keeps a broken dependency from breaking the rest: breakers, bulkheads, deadlines, retries, modes. Knows no dependency."""
