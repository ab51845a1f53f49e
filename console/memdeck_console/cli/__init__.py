"""The command line: the headless twin of everything that the console can do.

One file per group of commands. A command is a value (`command.Command`) in the table of `registry`; `program` parses,
runs it and turns exceptions into one sentence and an exit code. Modules here import aiohttp, rich and asyncio inside
functions only, so that `memdeck --help` costs a tenth of a second.
"""
