"""How photos become train, valid and test, with near copies on one side."""
