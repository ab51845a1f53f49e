"""PostgreSQL for the daemon: the embedded cluster and its supervisor, external servers, pools and migrations.

Owns everything between a setting and an open, migrated, pooled connection. Knows nothing of what the tables mean.
"""
