"""Measurements of the project, which write results/*.json, RESULTS.md and the essay. Not in the wheel."""
