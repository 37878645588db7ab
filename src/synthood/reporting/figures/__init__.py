"""A module per figure of a table; each figure is one class."""
