"""Data sets with a name: where they come from, and how they are laid out on the disk."""
