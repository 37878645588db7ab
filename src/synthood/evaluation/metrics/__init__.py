"""A module per kind of metric; each metric is one class."""
