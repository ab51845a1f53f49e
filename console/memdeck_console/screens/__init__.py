"""One screen per noun of the daemon, and the small ones that ask or explain."""
