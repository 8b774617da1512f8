"""Tables: aligned, rounded, escaped."""

from __future__ import annotations

import numpy as np
import pytest

from flowerlib.support import tables
from flowerlib.support.errors import InputError


def test_text_is_aligned_and_rounded():
    rows = [
        {"name": "scratch", "accuracy": 0.51249, "photos": 819},
        {"name": "frozen", "accuracy": np.float32(0.914), "photos": None},
    ]
    made = tables.table(rows, digits={"accuracy": 2})
    assert made.text("Test").splitlines() == [
        "Test",
        "name     accuracy  photos",
        "-------  --------  ------",
        "scratch      0.51     819",
        "frozen       0.91       –",
    ]
    assert made.text(leave_out=["accuracy"]).splitlines()[0] == "name     photos"


def test_sequences_and_truth_values():
    made = tables.table([("a", True), ("b", False)], columns=["letter", "vowel"])
    assert made.rows == [["a", "yes"], ["b", "no"]]
    assert made.right == [False, False]


def test_no_rows():
    assert tables.table([], columns=["a", "b"]).text() == "a  b\n-  -"


def test_html_is_escaped_and_marks_volatile_cells():
    made = tables.table([{"a": "<b>", "seconds": 0.5}])
    left = 'align="left" style="text-align: left"'
    assert made.html("x < y", volatile=["seconds"]) == (
        "<table><caption>x &lt; y</caption><thead><tr>"
        f'<th {left}>a</th><th align="right">seconds</th></tr></thead>\n<tbody>\n'
        f'<tr><td {left}>&lt;b&gt;</td><td align="right" class="volatile">0.500</td></tr>\n'
        "</tbody></table>"
    )


@pytest.mark.parametrize(
    ("rows", "columns", "problem"),
    [
        ([], None, "needs `columns`"),
        ([(1, 2)], None, "needs `columns`"),
        ([(1, 2)], ["a"], "Row 0 of a table has 2 values for 1 columns"),
    ],
)
def test_rows_that_make_no_table_are_refused(rows, columns, problem):
    with pytest.raises(InputError, match=problem):
        tables.table(rows, columns)
