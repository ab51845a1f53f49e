"""Charts as pure functions from numbers to cells.

Each returns spans or rows of spans with full glyphs and inks by name; nothing here knows a widget, a colour or a clock.
"""
