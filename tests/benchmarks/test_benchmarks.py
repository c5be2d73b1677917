import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import __main__ as bench
from benchmarks import curves, figure, plain
from benchmarks.__main__ import summary
from benchmarks.host import IMAPA, RATIO, starts
from benchmarks.machine import load, machine
from benchmarks.neonate import imapa_neonate
from benchmarks.peak import _flop, share_of_peak
from benchmarks.plan import critic_gflop, iteration_gflop, plan
from benchmarks.repro import seconds_of_repro
from benchmarks.size import SMALL, head
from benchmarks.timing import Times, comparison, interleaved
from benchmarks.training import CORTEX, training_iteration
from segsrgan_core.atomic import write_json
from segsrgan_core.imaging.degrade import degrade_matrices
from segsrgan_core.imaging.geometry import resample_to
from segsrgan_core.networks.convolutions import Convolution, UpsamplingConvolution, UpsamplingJoin
from segsrgan_core.patches import prepare_subject
from segsrgan_study.baselines import registration
from segsrgan_study.baselines.imapa import soft_labels
from segsrgan_study.figures.style import save
from segsrgan_study.scores import hd95_mm
from tests.toy import commit, repository


def test_a_head_is_bright_within_and_touches_no_edge():
    image = head((20, 24, 16))
    assert image[10, 12, 8] > 0.5
    assert 0.35 < (image > 0).mean() < 0.55  # an ellipsoid fills pi / 6 of its box
    assert not image[[0, -1]].any()


def test_the_plain_simulation_is_ours():
    image = head((6, 5, 60))
    down, up = degrade_matrices(60, 1.0, RATIO)
    np.testing.assert_allclose(plain.simulate(image, RATIO), image @ down.T @ up.T, atol=1e-5)


def test_the_plain_imapa_is_ours():
    images = np.stack([head((8, 7, 9), seed) for seed in range(3)])
    labels = np.digitize(images[1:], (0.25, 1.0)).astype(np.uint8)
    numbers, soft = soft_labels(images[0], images[1:], labels, **IMAPA, alphas=(0.0,))
    found = plain.imapa(images[0], images[1:], labels, **IMAPA)
    assert numbers.tolist() == [0, 1, 2]
    np.testing.assert_allclose(found, soft, atol=2e-3)


def test_the_plain_distance_is_ours():
    a, b = head((20, 22, 24)) > 0.9, head((20, 22, 24), 1) > 0.9
    assert plain.hd95_mm(a, b, 0.5) == pytest.approx(hd95_mm(a, b, (0.5,) * 3))


def test_work_is_done_in_turn_and_compared_round_by_round():
    done = []
    times = interleaved({name: lambda name=name: done.append(name) for name in "ab"}, 2)
    assert "".join(done) == "ab" + "ab" + "ba"
    assert [len(one.clock) for one in times.values()] == [2, 2]
    ratio = comparison(Times([4.0, 9.0], [1.0, 1.0]), Times([2.0, 3.0], [1.0, 2.0]), scale=10)["ratio"]
    assert ratio == {"median": 25, "low": 20, "high": 30, "rounds": 2}


def test_the_products_of_a_layer_are_those_of_its_definition():
    x, fine = tf.zeros((1, 8, 8, 8, 4)), tf.zeros((1, 16, 16, 16, 3))
    assert _flop(Convolution(6, 3), x) == 2 * 27 * 4 * 6 * 8**3
    assert _flop(Convolution(6, 3, strides=2), x) == 2 * 27 * 4 * 6 * 4**3
    assert _flop(UpsamplingConvolution(6), x) == 2 * 8 * 4 * 6 * 16**3
    assert _flop(UpsamplingJoin(6), [x, fine]) == 2 * (8 * 4 + 27 * 3) * 6 * 16**3


def test_every_layer_of_both_generators_is_measured():
    found = share_of_peak(SMALL)
    assert {name: len(one["layers"]) for name, one in found.items()} == {"shipped": 15, "published": 18}
    for one in found.values():
        assert one["gflop"] == pytest.approx(sum(layer["gflop"] for layer in one["layers"]))
        assert min(layer["share"] for layer in one["layers"]) > 0
        assert one["forward"]["low"] > 0


def test_machine_and_load_are_told():
    assert {"processor", "cores", "memory", "instructions", "libraries"} <= set(machine())
    assert load() >= 0


def test_the_command_starts_in_less_time_than_anyone_waits():
    found = starts(SMALL)
    assert found["segsrgan --help"]["median"] > found["python"]["median"] > 0


def test_imapa_labels_a_whole_phantom(monkeypatch):
    def only_resample(pairs, progress):
        for path, (image, atlas, _) in pairs.items():
            light = resample_to(atlas.image, image.shape, image.affine).get_fdata(dtype=np.float32)
            labels = resample_to(atlas.labels, image.shape, image.affine, order=0).get_fdata().astype(np.uint8)
            np.savez(path, image=light, interpolated=light, labels=labels)

    monkeypatch.setattr(registration, "register_all", only_resample)
    found = imapa_neonate(SMALL)
    assert found["atlases"] == 2
    assert found["imapa_s"]["rounds"] == SMALL.rounds
    assert found["imapa_s"]["low"] > 0
    assert min(found["voxels"]) > 25


TOY = """
import time
from pathlib import Path
assert "setting: miniature" in Path("params.yaml").read_text()
time.sleep(1)
Path("result.txt").write_text("1")
with Path({!r}).open("a") as runs:
    runs.write("run\\n")
"""


def test_a_study_is_timed_from_nothing_again_and_after_a_change(tmp_path):
    stage = f"{{cmd: {sys.executable} toy.py, deps: [toy.py], outs: [result.txt]}}"
    root, runs = tmp_path / "study", tmp_path / "runs"
    toy = TOY.format(str(runs))
    texts = {"toy.py": toy, "params.yaml": "setting: quick\n", "dvc.yaml": f"stages: {{one: {stage}}}"}
    commit(repository(root, texts))
    seconds = seconds_of_repro(root, "toy.py")
    assert list(seconds) == ["from nothing", "nothing changed", "evaluation changed"]
    assert min(seconds["from nothing"], seconds["evaluation changed"]) > 1  # the stage sleeps for 1 s
    assert runs.read_text() == "run\nrun\n"  # and is not run where nothing changed
    assert not (root / "result.txt").exists()


def test_a_training_iteration_is_compared_with_the_published_one():
    found = training_iteration(SMALL)["batch 1"]
    assert found["ratio"]["low"] > 0
    assert found["share_outside"]["median"] < 1


def test_both_designs_learn_the_same_from_the_same(monkeypatch):
    light, size = head((24, 24, 24)), replace(SMALL, seeds=1)
    labels = np.where(light > 1, 2, np.where(light > 0, 3, 0)).astype(np.uint8)
    toy = prepare_subject("toy", light, labels, CORTEX, 1.0, 3.0, size.patch, seed=0)
    monkeypatch.setattr(curves, "_subject", lambda index, size: toy)
    monkeypatch.setattr(curves, "POLICY", "float32")
    found = curves.curves(size)
    assert found["iterations"] == [1, 2]
    for score, tolerance in (("psnr", 0.02), ("loss", 1e-3)):
        (published,), (ours,) = found["published"][score], found["ours"][score]
        assert published == pytest.approx(ours, abs=tolerance)
        assert abs(ours[1] - ours[0]) > 0


def test_a_mean_is_within_the_range_of_the_other_design_or_not():
    theirs = [[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]
    assert curves._within(theirs, [[1.5, 2.4, 0.5], [1.5, 2.4, 0.5]]) == pytest.approx(1 / 3)
    assert curves._within(theirs, [[1.5, 2.0, 0.5], [1.5, 2.8, 0.5]]) == pytest.approx(2 / 3)


def test_named_benchmarks_run_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "_benchmarks", lambda: {"one": lambda size: {"k": size.k}, "other": pytest.fail})
    monkeypatch.setattr(bench, "start_tensorflow", lambda: None)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "one", "--small", "--out", str(tmp_path)])
    bench.main()
    assert [path.name for path in tmp_path.iterdir()] == ["one.json"]
    assert json.loads((tmp_path / "one.json").read_text())["result"] == {"k": SMALL.k}
    monkeypatch.setattr(sys, "argv", ["benchmarks", "onne"])
    with pytest.raises(SystemExit, match="2"):
        bench.main()


def of(value):
    return {"median": value, "low": 0.8 * value, "high": 1.2 * value, "rounds": 3}


RESULTS = {
    "training": {"batch 1": {"ratio": of(9.0)}, "batch 4": {"ratio": of(11.0)}},
    "inference": {"shipped": {"ratio": of(60.0)}},
    "peak": {
        "shipped": {
            "forward": of(0.4),
            "precision": "bfloat16",
            "layers": [{"name": "first", "input": [64, 64, 64, 1], "filters": 16, "share": 0.1}] * 3,
        }
    },
    "without_networks": {name: {"ratio": of(300.0)} for name in ("simulation", "imapa", "hd95")},
}


def test_the_summary_holds_three_medians():
    assert summary(RESULTS) == {
        "training_iteration_speedup": 11.0,
        "inference_speedup": 60.0,
        "generator_share_of_peak": 0.4,
    }


def test_what_is_there_is_kept_where_one_asks_for_it(tmp_path, monkeypatch):
    whole = {
        "training": {"batch 4": {"ratio": of(11.0), "fast_s": of(4.5)}},
        "inference": {name: {**one, "fast_s": of(24.0)} for name, one in RESULTS["inference"].items()},
        "peak": {**RESULTS["peak"], "published": {"gflop": 24.08, "peak_gflops": 780.0}},
        "without_networks": RESULTS["without_networks"],
        "memory": {"head": 2.0},
    }
    measured = []

    def one(name):
        return lambda size: measured.append(name) or whole[name]

    monkeypatch.setattr(bench, "_benchmarks", lambda: {name: one(name) for name in whole})
    write_json(tmp_path / "training.json", {"result": {"batch 4": {"ratio": of(99.0), "fast_s": of(1.0)}}})
    assert bench.run(tmp_path, SMALL, keep=True)["training_iteration_speedup"] == 99.0
    assert measured == [name for name in whole if name != "training"]
    assert bench.run(tmp_path, SMALL)["training_iteration_speedup"] == 11.0
    assert json.loads((tmp_path / "training.json").read_text())["machine"]["cores"]


def test_the_plan_is_the_arithmetic_of_the_page():
    assert critic_gflop() == pytest.approx(2.28, abs=0.005)
    assert iteration_gflop(24.08) == pytest.approx(334, abs=0.5)
    found = {
        "peak": {"published": {"gflop": 24.08, "peak_gflops": 780.0}},
        "training": {"batch 4": {"fast_s": of(4 * 1.125)}},
        "inference": {"shipped": {"fast_s": of(24.0)}},
        "memory": {"head": 2.0},
    }
    costs = plan(found)
    assert costs["training_hours"] == pytest.approx(1000)
    assert costs["epirmex_hours"] == pytest.approx(10)
    assert costs["share_of_peak_in_training"] == pytest.approx(334 / 1.125 / 780, rel=1e-3)


def test_the_figure_shows_every_ratio_and_layer(tmp_path):
    fig, table = figure.draw(RESULTS)
    assert table["panel"].value_counts().to_dict() == {"ratio": 6, "share of peak": 3}
    save(fig, figure.NAME, tmp_path, table)
    assert (tmp_path / "speed.png").stat().st_size > 10_000
