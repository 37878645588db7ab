"""Encoders in whose spaces outliers are sought, one class each: settings and how images become features."""
