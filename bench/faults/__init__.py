"""The fault harnesses: a proxy that breaks connections, kill loops, outages, crowds, a soak, and the checker of what remained."""
