"""Benchmarks: what the product's figures are measured with, on any machine.

`python -m bench.load` measures rate and latency. Nothing here is part of the product; only the driver's own process and
the daemons that it starts itself are touched.
"""
