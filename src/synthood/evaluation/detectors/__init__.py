"""Detectors, one class each: settings, what they look at, and `fit`; confidence is larger for ID."""
