"""flowerlib: transfer learning that a laptop can do and a reader can follow.

Packages are imported by name (`from flowerlib import data, models, train`); nothing heavy is loaded
before the package that needs it.
"""

from flowerlib.support.errors import InputError

__all__ = ["InputError", "__version__"]
__version__ = "0.1.0"
