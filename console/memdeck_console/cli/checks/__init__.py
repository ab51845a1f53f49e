"""What `memdeck doctor` looks at: one file per area, each check a function of the site that yields findings.

A finding says what is so; one that is not a pass also says what to do. Checks read and never repair.
"""
