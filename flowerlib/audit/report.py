"""What a look over a folder of photos has found: as text for people, as plain data for programs.

What is found is sorted by what it does to a classifier: photos that cannot be read stop the
training; copies in two splits flatter the test accuracy; copies in two classes contradict each
other; the rest is for information.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from flowerlib.audit import manifest
from flowerlib.audit.examination import File
from flowerlib.data.file_counts import FileCounts
from flowerlib.support import tables
from flowerlib.support.console import one_line
from flowerlib.support.errors import plural

UNEVEN = 10.0  # ratio of the largest class to the smallest that is worth a word


@dataclass(frozen=True)
class Copies:
    """Photos with the same content (`similarity` is None), or two that look the same."""

    files: tuple[File, ...]
    similarity: float | None = None
    mirrored: bool = False

    @property
    def across_splits(self) -> bool:
        """They lie in more than one of train, valid and test."""
        return len({file.split for file in self.files}) > 1

    @property
    def across_classes(self) -> bool:
        """They lie in more than one class."""
        return len({file.class_name for file in self.files}) > 1

    def __str__(self) -> str:
        how = " (mirrored)" if self.mirrored else ""
        sign = " = " if self.similarity is None else f" ~ {self.similarity:.3f}{how} ~ "
        return sign.join(file.path for file in self.files)


@dataclass(repr=False)
class Report:
    """What `folder` found.

    Attributes:
        root: the folder, the address, or the table.
        files: all photos, readable or not.
        exact, near: groups of the same content; pairs that look the same.
        counts: photos by split and class folder.
        class_problems: sentences about folders that training would refuse.
        left_out: paths of files that no training would read, by kind.
        notes: sentences about how training would read the folder that its owner should know.
        changes: against a manifest, if one was given.
    """

    root: Path | str
    files: list[File]
    exact: list[Copies]
    near: list[Copies]
    counts: dict[str, dict[str, int]]
    class_problems: list[str]
    left_out: dict[str, list[str]]
    notes: list[str]
    changes: manifest.Changes = field(default_factory=manifest.Changes)

    def __repr__(self) -> str:
        return f"<Report: {self._verdict()}>"

    def _verdict(self) -> str:
        good = "nothing serious" if not self.serious else "problems found"
        count = len(self.files)
        return f"{count:,} {plural(count, 'photo')} checked, {good}"

    @property
    def unreadable(self) -> list[File]:
        """Files with the name of a photo that are none."""
        return [file for file in self.files if file.problem]

    @property
    def leaks(self) -> list[Copies]:
        """Copies that lie in more than one split."""
        return [group for group in self.exact + self.near if group.across_splits]

    @property
    def conflicts(self) -> list[Copies]:
        """Copies that lie in more than one class."""
        return [group for group in self.exact + self.near if group.across_classes]

    @property
    def file_counts(self) -> FileCounts:
        """The number of photos, and of files that no training would read by kind."""
        kinds = {kind: len(paths) for kind, paths in self.left_out.items()}
        return FileCounts(len(self.files), kinds)

    @property
    def serious(self) -> bool:
        """Training on this folder would stop, contradict itself, or be measured wrongly."""
        return bool(
            self.unreadable or self.leaks or self.conflicts or self.class_problems or self.changes
        )

    def sections(self) -> list[tuple[str, list[str]]]:
        """Findings as (title, lines), the worst first; titles without findings are left out."""
        inside = [
            group
            for group in self.exact + self.near
            if not (group.across_splits or group.across_classes)
        ]
        found = [
            ("changed since the manifest", self.changes.changed),
            ("missing since the manifest", self.changes.missing),
            ("new since the manifest", self.changes.new),
            ("moved since the manifest", [f"{a} -> {b}" for a, b in self.changes.moved]),
            ("unreadable", [f"{file.path}: {file.problem}" for file in self.unreadable]),
            ("classes", self.class_problems),
            (
                "copies across splits (the test would be flattered; keep each on one side)",
                [str(group) for group in self.leaks],
            ),
            (
                "copies across classes (labels conflict; keep each in its right class)",
                [str(group) for group in self.conflicts],
            ),
            ("copies inside a class and split", [str(group) for group in inside]),
        ]
        kinds = Counter(kind for file in self.files for kind in file.oddities)
        for kind, _ in kinds.most_common():
            found.append((kind, [file.path for file in self.files if kind in file.oddities]))
        ignored = [f"{path} ({kind})" for kind, paths in self.left_out.items() for path in paths]
        found += [("notes", self.notes), ("ignored, no training reads them", ignored)]
        return [(title, lines) for title, lines in found if lines]

    def imbalance(self, split: str) -> float:
        """Photos in the largest class for one in the smallest, in a split; empty classes aside."""
        sizes = [count for count in self.counts[split].values() if count]
        return max(sizes) / min(sizes) if sizes else 1.0

    def text(self, examples: int = 5) -> str:
        """A summary for people: a table of the splits, then findings with some examples each."""
        rows = []
        for split, classes in self.counts.items():
            by_size = sorted(classes, key=classes.__getitem__)
            ends = [f"{name} ({classes[name]})" for name in by_size] or [""]
            rows.append(
                {
                    "split": split or "(none yet)",
                    "classes": len(classes),
                    "photos": sum(classes.values()),
                    "smallest class": ends[0],
                    "largest class": ends[-1],
                    "ratio": self.imbalance(split),
                }
            )
        parts = [tables.table(rows, digits=1).text()]
        for title, lines in self.sections():
            more = [f"  and {len(lines) - examples:,} more"] if len(lines) > examples else []
            shown = [f"  {one_line(line)}" for line in lines[:examples]]
            parts.append("\n".join([f"{title}: {len(lines):,}", *shown, *more]))
        if turned := sum(file.turned for file in self.files):
            parts.append(f"turned upright on opening, by their EXIF orientation: {turned:,}")
        if uneven := [split for split in self.counts if self.imbalance(split) >= UNEVEN]:
            worst = max(uneven, key=self.imbalance)
            parts.append(
                f"uneven classes: up to {self.imbalance(worst):.0f} times as many photos in one as "
                "in another; look at the accuracy of each class, not only at their mean"
            )
        if self.left_out:
            parts.append(self.file_counts.sentence())
        parts.append(f"{one_line(self.root)}: {self._verdict()}")
        return "\n\n".join(parts)

    def to_dict(self) -> dict[str, object]:
        """Everything as plain data, for JSON."""

        def plain(groups: list[Copies]) -> list[dict[str, object]]:
            return [
                {
                    "paths": [file.path for file in group.files],
                    "similarity": group.similarity,
                    "mirrored": group.mirrored,
                    "across_splits": group.across_splits,
                    "across_classes": group.across_classes,
                }
                for group in groups
            ]

        odd = [file for file in self.files if file.oddities]
        return {
            "folder": str(self.root),
            "num_photos": len(self.files),
            "serious": self.serious,
            "counts": self.counts,
            "imbalance": {split: round(self.imbalance(split), 3) for split in self.counts},
            "class_problems": self.class_problems,
            "unreadable": [{"path": f.path, "reason": f.problem} for f in self.unreadable],
            "exact_copies": plain(self.exact),
            "near_copies": plain(self.near),
            "suspicious": [{"path": file.path, "what": list(file.oddities)} for file in odd],
            "turned": sum(file.turned for file in self.files),
            "notes": self.notes,
            "files": self.file_counts.to_dict(),
            "ignored": [path for paths in self.left_out.values() for path in paths],
            "changes": asdict(self.changes),
        }

    def entries(self) -> list[manifest.Entry]:
        """The photos whose bytes could be read, for a manifest."""
        return [
            manifest.Entry(file.path, file.sha256, file.size, file.split, file.class_name)
            for file in self.files
            if file.sha256
        ]
