"""flowerlib: transfer learning that a laptop can do and a reader can follow.

Rooms are imported by name (`from flowerlib import data, models, train`); nothing heavy is loaded
before the room that needs it.
"""

__version__ = "0.1.0"
