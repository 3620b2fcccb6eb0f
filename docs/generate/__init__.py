"""Generators of the reference documents and pictures that no single package owns. `make docs` runs them."""
