"""What follows the truth in Postgres by reading its outbox. Each can be dropped and rebuilt."""
