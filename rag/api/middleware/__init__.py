"""What every request passes: who asks, from where, how many at once, what went wrong."""
