"""Who may enter, as whom, and how often."""
