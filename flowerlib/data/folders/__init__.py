"""Folders of photos: which files are there, which split and class each belongs to."""
