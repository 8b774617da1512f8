"""What the benchmarks compute from their measurements; no benchmark is run here."""

from __future__ import annotations

import ast
import json
import sys

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import (
    cold,
    fastai_recipe,
    gpu,
    growth,
    linear_heads,
    million,
    paired,
    processes,
    roofs,
    scale_model,
    small_heads,
    steps,
    throughput,
)
from benchmarks import listing as listing_by_two
from flowerlib import data, features, models
from flowerlib.data.decoding import images
from flowerlib.data.folders import listing
from flowerlib.data.records import shards
from flowerlib.features import engine, rounding, runtime
from flowerlib.models import small_networks
from flowerlib.transforms import Preprocessing
from tests.warm import together


@pytest.fixture(autouse=True)
def _recorded(monkeypatch):
    monkeypatch.delenv("FLOWERLIB_BENCH_DRY", raising=False)


def fake(seconds: list[float], log: list[str], name: str):
    """A side that answers with the next of `seconds`, and notes that it was called."""
    left = iter(seconds)

    def side() -> dict:
        log.append(name)
        return {"seconds": next(left)}

    return side


def test_sides_take_turns_and_neighbors_make_a_pair():
    log: list[str] = []
    ours, theirs = fake([1, 1, 2, 2, 1], log, "A"), fake([3, 4, 10, 6, 2], log, "B")
    found = paired.compare(ours, theirs, names=("fast", "slow"))
    assert "".join(log) == paired.order(5) == "ABBAABBAAB"
    assert found["ratio"]["pairs"] == [3, 4, 5, 3, 2]
    assert found["ratio"]["median"] == 3
    low, high = found["ratio"]["interval"]
    assert 2 <= low < 3 < high <= 5
    assert found["fast"]["median_seconds"] == 1
    assert found["slow"]["median_seconds"] == 4
    assert [run["seconds"] for run in found["slow"]["runs"]] == [3, 4, 10, 6, 2]


def test_a_side_that_runs_once_stands_between_the_others():
    log: list[str] = []
    found = paired.compare(fake([1, 2, 4, 2], log, "A"), fake([8], log, "B"), pairs=3, once=True)
    assert "".join(log) == "AABAA"
    assert found["ratio"]["pairs"] == [8, 4, 2, 4]
    assert "once" in found["ratio"]["note"]


def test_the_interval_covers_the_true_median_as_often_as_it_says():
    generator = np.random.default_rng(1)
    held = 0
    for _ in range(100):
        low, high = paired.interval(list(generator.lognormal(size=15)), draws=500)
        held += low <= 1 <= high  # the median of this distribution is 1
    assert held >= 88


def test_a_block_is_measured_again_while_the_roofs_drift():
    speeds = iter([100, 150, 100, 95, 1, 1])
    blocks = iter(range(9))

    def roof() -> dict:
        return {"matrix_product_fp32": next(speeds)}

    found = paired.steady(lambda: {"block": next(blocks)}, roof=roof)
    assert (found["block"], found["roofs"]["tries"], found["roofs"]["drift"]) == (1, 2, 0.05)
    assert "warning" not in found["roofs"]
    assert {"processor", "threads", "versions"} <= set(found["machine"])


def test_after_three_tries_the_drift_is_reported():
    speeds = iter([100, 150] * 3)
    found = paired.steady(dict, roof=lambda: {"matrix_product_fp32": next(speeds)})
    assert found["roofs"]["tries"] == 3
    assert "50%" in found["roofs"]["warning"]


def test_a_dry_run_is_one_pair_and_is_not_written(monkeypatch, capsys, tmp_path):
    from benchmarks import __main__ as benchmarks

    monkeypatch.setenv("FLOWERLIB_BENCH_DRY", "1")
    monkeypatch.setattr(benchmarks, "RESULTS", tmp_path)
    log: list[str] = []
    paired.compare(fake([1], log, "A"), fake([1], log, "B"))
    assert log == ["A", "B"]
    benchmarks.write("speed", {"seconds": 1})
    assert list(tmp_path.iterdir()) == []
    monkeypatch.delenv("FLOWERLIB_BENCH_DRY")
    benchmarks.write("speed", {"seconds": 1})
    assert benchmarks.read("speed") == {"seconds": 1}


@pytest.mark.parametrize("precisions", [("fp32",), ("fp32", "bf16")])
def test_roofs_are_positive_and_named_by_precision(precisions, monkeypatch):
    monkeypatch.setattr(engine, "computes_in_bf16", lambda: "bf16" in precisions)
    monkeypatch.setattr(roofs, "SIDE", 64)
    monkeypatch.setattr(roofs, "CHANNELS", 16)
    found = roofs.measure(seconds=0.01)
    assert set(found) == {
        f"{kind}_{precision}"
        for kind in ("matrix_product", "convolution_1x1")
        for precision in precisions
    }
    assert min(found.values()) > 0


def test_flops_of_a_convolution_and_a_network():
    layer = nn.Conv2d(3, 8, 3, padding=1)
    images = torch.zeros(2, 3, 10, 10)
    # images x outputs x pixels x (inputs x kernel), a product and an addition each
    assert roofs.flops(lambda: layer(images)) == 2 * 8 * 100 * (3 * 9) * 2
    # torchvision tells 0.30 GFLOP for mobilenet_v2, counting product and addition as one
    assert throughput.flops_per_image("mobilenet_v2") == pytest.approx(0.6e9, rel=0.02)


def test_the_photos_of_a_run_are_spread_over_the_classes(flower_folder):
    picked = [path for path, _ in throughput.chosen(str(flower_folder / "train"), 4).samples]
    assert len({path.split("/")[-2] for path in picked}) == 4


def test_both_sides_compute_the_same_features(flower_folder, tmp_path):
    files = [str(tmp_path / name) for name in ("ours.npy", "theirs.npy")]
    given = {"name": "mobilenet_v2", "weights": "none", "count": 2}
    given["folder"] = str(flower_folder / "train")
    throughput.ours(**given, out=files[0])
    throughput.beginner(**given, out=files[1])
    ours, theirs = map(np.load, files)
    assert ours.shape == theirs.shape == (2, 1280)
    assert throughput.difference(ours, theirs) < 0.2


def test_batchnorm_gets_statistics_and_the_network_answers_as_before():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.BatchNorm2d(4)
    ).eval()
    for layer in (network[1], network[4]):
        nn.init.uniform_(layer.weight, 0.5, 2)
        nn.init.uniform_(layer.bias, -1, 1)
    images = torch.randn(16, 3, 12, 12)
    with torch.no_grad():
        before = network(images)
        fastai_recipe.give_statistics(network, images)
        after, training = network(images), network.train()(images)
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(training, before, rtol=1e-3, atol=1e-3)
    assert float((network[1].running_var - 1).abs().min()) > 1e-3


def test_a_fresh_process_is_timed_and_weighed():
    finished = processes.run([sys.executable, "-c", "import time; time.sleep(0.2); print('there')"])
    assert finished.output == "there\n"
    assert 0.2 <= finished.seconds < 5
    if sys.platform == "linux":
        assert 2 < finished.peak_memory_mb < 100  # not that of this process, which has torch
        assert 0 < finished.peak_anonymous_mb < finished.peak_memory_mb


def test_a_process_that_fails_or_takes_too_long_ends_the_measurement():
    with pytest.raises(SystemExit, match="exit code 3"):
        processes.run([sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(processes.OverLimit, match="ended after 0 s"):
        processes.run([sys.executable, "-c", "import time; time.sleep(60)"], limit=0.2)


@pytest.mark.parametrize("step", [step for kind in steps.STEPS.values() for step in kind])
def test_a_step_is_taken_out_and_features_stay(step, flower_folder, monkeypatch):
    places = ((runtime, "suits"), (runtime, "PIXELS"), (rounding.IntegerReLU, "forward"))
    before = [getattr(place, name) for place, name in places]
    for (place, name), value in zip(places, before, strict=True):
        monkeypatch.setattr(place, name, value)  # so that it comes back
    photos = data.image_folder(flower_folder).valid.subset([0, 5])
    backbone, small = models.backbone("small_resnet", "small"), Preprocessing(48, 48)

    def values(**options):
        found = features.extract(backbone, photos, small, cache=False, device="cpu", **options)
        return found.values

    usual, options = values(), steps.undo(step)
    error = float((values(**options) - usual).norm() / usual.norm())
    assert error < 0.05
    after = [getattr(place, name) for place, name in places]
    assert bool(options) + sum(a is not b for a, b in zip(before, after, strict=True)) == 1


def test_growth_prolongs_the_line_through_the_largest_numbers():
    rows = [
        {"stage": "head", "photos": n, "seconds": s, "peak_memory_mb": m, "how": "measured"}
        for n, s, m in ((10, 9.0, 50), (100, 1.0, 100), (200, 2.0, 90))
    ]
    found = growth.simulated(rows, "head", 1000)
    assert (found["seconds"], found["peak_memory_mb"]) == (10.0, 90)  # a negative slope is noise
    assert found["how"].startswith("simulated")


def test_a_head_is_prepared_for_the_layers_that_its_record_names(flower_folder, tmp_path):
    given = {"name": "small_resnet", "weights": "small", "out": str(tmp_path / "features.npz")}
    last, several = (
        linear_heads.prepare(folder=str(flower_folder), per_class=1, layers=layers, **given)
        for layers in ("last", "multi-level")
    )
    assert (
        last["width"]
        < several["width"]
        == models.backbone("small_resnet", "small", layers="multi-level").num_features
    )
    assert np.load(tmp_path / "features.npz")["train"].shape[1] == several["width"]


def test_repeated_files_are_other_files_of_the_same_photos(flower_folder, tmp_path):
    growth.repeat_files(flower_folder, tmp_path, 60)
    files = list(listing.read(tmp_path).folder.below())
    assert len({images.digest(file) for file in files}) == len(files) == 60
    assert images.open_photo(files[0]) == images.open_photo(files[56])  # 56 originals


@pytest.mark.parametrize("folder", ["benchmarks", "tools"])
def test_no_accuracy_is_printed_without_its_interval(repository, folder):
    """Where a text formats an accuracy, it formats the ends of the interval, too."""
    alone = []
    for path in sorted((repository / folder).glob("*.py")):
        for text in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            values = text.values if isinstance(text, ast.JoinedStr) else []
            formatted = [
                ast.unparse(value.value)
                for value in values
                if isinstance(value, ast.FormattedValue) and value.format_spec
            ]
            if any("accuracy" in value for value in formatted) and "low" not in formatted:
                alone.append(f"{path.name}: {ast.unparse(text)}")
    assert alone == []


def test_small_heads_are_solved_beside_busy_processes(monkeypatch, tmp_path):
    monkeypatch.setattr(small_heads, "WIDTH", 30)
    file = str(tmp_path / "features.npz")
    sizes = {"train": 500, "valid": 200, "width": 30, "classes": 20}
    assert small_heads.draw(file) == sizes
    assert set(np.load(file)["train_labels"]) == set(range(20))
    with small_heads.busy(2) as processes_beside:
        assert [process.poll() for process in processes_beside] == [None, None]
        found = small_heads.solve(file)
    assert all(process.poll() is not None for process in processes_beside)
    assert len(found["seconds"]) == len(found["processor_seconds"]) == small_heads.REPEATS


@pytest.mark.parametrize(("load", "lacking"), [(0.1, 4), (2.6, 1), (8.3, 0)])
def test_a_busy_machine_is_not_made_busier(monkeypatch, load, lacking):
    monkeypatch.setattr("os.getloadavg", lambda: (load, 9.0, 9.0))
    assert small_heads.lacking() == lacking
    assert small_heads.states()["busy"] == lacking
    assert ("as it is" in small_heads.states()) == (lacking > 0)


def test_small_heads_tell_the_median_and_the_longest():
    runs = [
        {"seconds": [1, 2], "processor_seconds": [1, 1], "load": 0.5},
        {"seconds": [3, 9], "processor_seconds": [2, 3], "load": 4.0},
    ]
    found = small_heads.summed(runs)
    assert (found["median_seconds"], found["longest_seconds"]) == (2.5, 9)
    assert (found["median_processor_seconds"], found["solves"], found["load"]) == (1.5, 4, 4.0)


def test_a_row_of_waiting_times_tells_medians_and_mean_accuracy():
    runs = [
        {"seconds": s, "peak_memory_mb": m, "test_accuracy": a}
        for s, m, a in ((3.0, 100, 0.9), (1.0, 300, 0.8), (2.0, 200, 1.0))
    ]
    found = cold.summary(runs)
    assert (found["median_seconds"], found["peak_memory_mb"]) == (2.0, 300)
    assert found["test_accuracy"] == 0.9


def test_the_gpu_benchmark_works_on_the_processor_too(monkeypatch, flower_folder, tmp_path):
    (tmp_path / "flowers").symlink_to(flower_folder)
    weights = small_networks.SMALL_WEIGHTS / "small_resnet.safetensors"
    usual = models.backbone
    monkeypatch.setattr(models, "backbone", lambda name, given: usual("small_resnet", given))
    monkeypatch.setattr(gpu, "RUNS", 2)
    found = gpu.measure(tmp_path, weights, device="cpu")
    assert found["device"] == "cpu" and len(found["runs"]) == 2
    assert found["runs"][0]["phases"]["features"] < found["runs"][0]["seconds"]
    assert 0 < found["opening_alone_seconds"]


def test_a_million_photos_are_links_to_a_few(tmp_path):
    million.link_shards(tmp_path / "shards", million.drawn(), 250)
    found = shards.read(str(tmp_path / "shards")).source
    assert len(found) == len({found.name(row) for row in range(250)}) == 250
    assert found.read(0) == found.read(100) == found.read(216)
    assert sum(file.is_symlink() for file in (tmp_path / "shards").iterdir()) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's /proc")
def test_a_million_photos_in_small(monkeypatch):
    monkeypatch.setenv("FLOWERLIB_PHOTOS", "1100")
    monkeypatch.setenv("FLOWERLIB_PROCESSES", "1")
    monkeypatch.setattr(million, "PAUSE", 0.02)
    found = million.measure()
    assert (found["photos"], found["processes"]) == (1100, 1)
    assert found["rows"] and found["rows"][0]["photos"] in (512, 1024, 1536)
    assert all(50 < memory < 3000 for row in found["rows"] for memory in row["anonymous_mb"])


def test_speed_and_growth_follow_from_the_rows():
    rows = [
        {"photos": 1000 * at, "seconds": 2.0 * at, "anonymous_mb": [300, 300 + at]}
        for at in range(1, 101)
    ]
    found = million.summed(rows)
    assert found["photos_per_second"] == 500 and found["largest_anonymous_mb"] == 400
    assert found["growth_mb_per_million"] == [0, 1000]
    assert len(thin := million.thinned(rows)) == million.ROWS
    assert (thin[0], thin[-1]) == (rows[0], rows[-1])


def test_the_simulation_follows_from_its_inputs():
    record = json.loads((scale_model.RESULTS / "scale_model.json").read_text(encoding="utf-8"))
    known = {name: one["value"] for name, one in record["inputs"].items()}
    kinds = ("measured", "computed", "assumed", "from results/")
    assert all(one["how"].startswith(kinds) for one in record["inputs"].values())
    for row in record["rows"]:
        again = scale_model.simulated(row["command"], row["photos"], row["gpus"], known)
        assert again == {name: row[name] for name in again}
    one, two = (scale_model.simulated("predict", 10**8, gpus, known) for gpus in (1, 64))
    assert one["hours_by_stage"]["network"] == pytest.approx(
        64 * two["hours_by_stage"]["network"], rel=1e-2
    )
    same = "arranging by one process"
    assert one["hours_by_stage"][same] == two["hours_by_stage"][same]
    assert one["hours_by_stage"]["listing"] > 16 * two["hours_by_stage"]["listing"]
    faster = {**known, "predict_arrange_seconds": 0.0}
    assert scale_model.simulated("predict", 10**8, 64, faster)["limit"] == "network"


def test_two_processes_that_list_photos_are_compared_with_one(monkeypatch):
    monkeypatch.setenv("FLOWERLIB_BENCH_DRY", "1")
    monkeypatch.setattr(paired, "steady", lambda block, tries: block())
    sizes = []

    def start(arguments, size):
        sizes.append(size)
        return together(arguments, size)[0].out

    found = listing_by_two.measure(start)
    assert sizes == [2, 1] and found["photos"] == 500
    assert found["efficiency"] == round(found["ratio"]["median"] / 2, 3) > 0


def test_stages_are_measured_on_real_photos(flower_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("FLOWERLIB_BENCH_DRY", "1")
    (tmp_path / "flowers").symlink_to(flower_folder)
    found = scale_model.measure(tmp_path, tmp_path)
    measured = [one for one in found["inputs"].values() if one["how"].startswith("measured")]
    assert len(measured) == 9 and all(one["value"] > 0 for one in measured)
    assert len(scale_model.figure(found["rows"])[0].lines) == 6
