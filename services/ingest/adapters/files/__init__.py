"""The file store, and the files in it. See docs/files.md."""
