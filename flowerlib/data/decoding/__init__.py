"""One photo, from bytes to pixels: safely, and in the same way wherever it comes from."""
