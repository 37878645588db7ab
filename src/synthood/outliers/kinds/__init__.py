"""A module per way of making outliers; each kind is one class."""
