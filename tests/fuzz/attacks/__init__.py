"""One module for each attack; see `tests.fuzz`."""
