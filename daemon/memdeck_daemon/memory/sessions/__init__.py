"""Short-term and episodic memory: windows of what was said last, traces of what was decided, contexts made of both.

`model` the nouns, `store` their rows, `windows` what is kept of a window for when Postgres is away, `budget` counts
tokens and packs, `service` the door.
"""
