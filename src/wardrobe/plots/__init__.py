"""Arrays to figures. Nothing here loads or computes."""
