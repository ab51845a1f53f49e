"""The bodies of the HTTP API as typed values, one file per noun.

Owns shapes only: no behaviour beyond what a value needs to be understood the same on both sides (histogram merging).
"""
