"""What is wrong with a set of photos: unreadable files, duplicates, leaks between splits."""
