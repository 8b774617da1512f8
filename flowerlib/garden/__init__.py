"""Drawn data: pictures that this project draws itself, so that every lesson runs offline.

Five kinds, one folder each; every picture depends on (kind, label, index, seed, size) only. Many
pictures are drawn on all cores by worker processes and kept in the cache. Only NumPy and Pillow are
needed, so a worker starts quickly.
"""

from flowerlib.garden.painter import KINDS, class_names, picture, pictures
from flowerlib.garden.sheets import sheet

__all__ = ["KINDS", "class_names", "picture", "pictures", "sheet"]
