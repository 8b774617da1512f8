"""What only notebooks use: claims, tables, figures with alternative text."""

from flowerlib.lesson.notebook import (
    FalseClaim,
    banner,
    claim,
    footer,
    headline,
    live,
    machine,
    measured,
    show,
    show_source,
    table,
    verdict,
)

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
