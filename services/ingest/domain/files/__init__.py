"""The files of customers: where each one is stored, what is accepted, and what a file really is. See docs/files.md."""
