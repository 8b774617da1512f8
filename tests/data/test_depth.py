"""Pictures of fewer bits than their files could hold are reported by check and by training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flowerlib import audit, cli, data
from flowerlib.data import Photos, depth


def folder(root: Path, bits: int, kind: str = ".tif") -> Path:
    """Two classes of noise that differ in brightness."""
    for label, name in enumerate(("bright", "dull")):
        (root / name).mkdir(parents=True)
        for number in range(6):
            random = np.random.default_rng([label, number])
            values = random.integers(0, 2**bits >> label, (64, 64)).astype(np.uint16)
            Image.fromarray(values).save(root / name / f"{number}{kind}")
    return root


@pytest.mark.parametrize("kind", [".tif", ".png"])
def test_check_and_train_report_12_bits_in_16(
    tmp_path: Path, own_cache: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    photos = folder(tmp_path / "photos", 12, kind)
    assert f"{depth.KIND}: 12" in audit.check(photos).text()
    options = ["--backbone", "small_resnet", "--weights", "small", "--preset", "quick"]
    assert cli.main(["train", str(photos), "--out", str(tmp_path / "run"), *options]) == 0
    output = capsys.readouterr().out
    assert "note: 12 of 12 photos looked at are read almost black, such as" in output
    assert "its largest value is 6.2% of the largest" in output


def test_nothing_is_reported_of_others(tmp_path: Path, flower_folder: Path) -> None:
    for photos in (folder(tmp_path / "full", 16), flower_folder):
        splits = data.image_folder(photos)
        assert depth.dark([splits.train, splits.valid]) == []
        assert depth.KIND not in audit.check(photos).text()
    letter = tmp_path / "letter.png"
    letter.write_text("no picture")
    drawn = Photos(np.zeros((2, 8, 8, 3), np.uint8), [0, 0], ["a"])
    assert depth.dark([Photos([letter], [0], ["a"]), drawn]) == []
