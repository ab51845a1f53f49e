"""What a person runs memdeck with: the command `memdeck`, and the console in a terminal.

Reaches the daemon over HTTP only, through the client in `memdeck_common`.
"""
