"""Writes that wait on the disk while Postgres cannot take them."""
