"""What only notebooks use: claims, tables, figures with alternative text."""

from flowerlib.lesson.claims import FalseClaim, claim, verdict
from flowerlib.lesson.run import banner, footer, headline, machine, measured
from flowerlib.lesson.shown import live, show, show_source, table

__all__ = [
    "FalseClaim",
    "banner",
    "claim",
    "footer",
    "headline",
    "live",
    "machine",
    "measured",
    "show",
    "show_source",
    "table",
    "verdict",
]
