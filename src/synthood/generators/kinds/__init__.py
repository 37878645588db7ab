"""Generators: one module each, with settings, description, fit and sampling."""

PACKAGE = __name__
