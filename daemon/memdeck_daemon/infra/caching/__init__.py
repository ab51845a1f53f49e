"""Caches in tiers; what may be kept, and how long it is valid, is their users' business."""
