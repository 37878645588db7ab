"""Synthetic data for out-of-distribution detection, as one reproducible pipeline."""

__version__ = "0.1.0"
