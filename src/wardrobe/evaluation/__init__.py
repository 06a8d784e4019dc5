"""Metrics, calibration, selective and conformal prediction, robustness; the only reader of the test split."""
