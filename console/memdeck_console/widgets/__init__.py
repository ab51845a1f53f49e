"""Thin line-API widgets: each turns a view into rows and draws those that changed."""
