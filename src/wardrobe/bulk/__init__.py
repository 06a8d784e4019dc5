"""Photos by the million, on Ray."""
