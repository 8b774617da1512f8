"""Loaded before every plugin of pytest: `-p tests.early`.

nbval loads jsonschema, which builds a grammar of international addresses, a second in each of three
processes, if the grammar's package is there. Notebooks hold no such address.
"""

import sys

sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # "not installed"
