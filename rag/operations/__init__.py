"""Open, check, back up, restore, shut down; and the way to a server that runs."""
