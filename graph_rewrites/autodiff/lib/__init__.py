"""What gradient rules share."""
