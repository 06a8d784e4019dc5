"""Console output and progress display."""
