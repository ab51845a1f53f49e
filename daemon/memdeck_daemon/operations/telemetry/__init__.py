"""What the daemon knows of itself: latencies, metrics, health, the feed.

`latency` counts calls, `metrics` exports them, `watch` looks at services once a second, `stream` tells watchers,
`logtail` keeps the last records, `service` is the door.
"""
