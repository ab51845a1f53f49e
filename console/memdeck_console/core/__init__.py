"""What the console knows and how it turns numbers into text, without any Textual import.

Owns the link to the daemon, the store of what the daemon told, the verdict, formatting and charts. Refuses to draw:
widgets put its rows on the screen.
"""
