"""Benchmarks: what the product's figures are measured with, on any machine.

`python -m bench.load` measures rate and latency. Nothing here is part of the product; only the driver's own process and
the daemons that it starts itself are touched.
"""

from memdeck_daemon.infra import interpreter

# Before any module loads numpy: what is compared with the daemon in this process is to run as it does there.
interpreter.share()
