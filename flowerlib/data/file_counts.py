"""How many files a data set uses, and what becomes of all others: counted, never passed over."""

from __future__ import annotations

from dataclasses import dataclass

from flowerlib.support.console import one_line

HIDDEN, SYSTEM, THUMBNAILS = "hidden", "of the system", "thumbnails"
UNREMARKABLE = frozenset({HIDDEN, SYSTEM, THUMBNAILS})  # nobody takes these for photos
# Pictures that Pillow alone does not read, or reads as the small preview that lies in them.
UNREAD = frozenset(
    ".heic .heif .jxl .jp2 .dng .cr2 .cr3 .nef .arw .orf .rw2 .raf .pef .raw .psd .svg .dcm".split()
)
KINDS_NAMED = 6


@dataclass(frozen=True)
class FileCounts:
    """How many files below a folder are used as photos, and how many of which kind are not."""

    used: int
    left_out: dict[str, int]

    @property
    def remarkable(self) -> bool:
        """Files are left out that somebody may take for photos of the set."""
        return not self.left_out.keys() <= UNREMARKABLE

    def sentence(self) -> str:
        """One line about what is left out, with the mend; "" if nothing is."""
        if not self.left_out:
            return ""
        kinds = sorted(self.left_out.items(), key=lambda item: -item[1])
        named = [f"{count:,} {kind}" for kind, count in kinds[:KINDS_NAMED]]
        if more := sum(count for _, count in kinds[KINDS_NAMED:]):
            named.append(f"{more:,} of other kinds")
        left = sum(self.left_out.values())
        convert = sorted(UNREAD & self.left_out.keys())
        mend = f"; convert {' and '.join(convert)} to JPEG to use them" if convert else ""
        return one_line(
            f"left out {left:,} of {self.used + left:,} files: {', '.join(named)}{mend}"
        )

    def to_dict(self) -> dict[str, object]:
        """Both as plain data, for JSON."""
        return {"used": self.used, "left_out": self.left_out}
