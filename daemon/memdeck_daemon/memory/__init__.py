"""What memdeck is for: memories are added, found, changed, forgotten and brought back.

`service` is the only door; `model` holds the nouns. Knows neither HTTP nor backups.
"""
