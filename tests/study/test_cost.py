import json
import subprocess
import sys
import time

import numpy as np

from segsrgan_study.cost import Cost, metered, note_costs


def test_time_and_memory_of_this_process_are_measured():
    with metered() as small:
        time.sleep(0.3)
    with metered() as large:
        held = np.ones(200 * 2**17)  # 200 MiB
        time.sleep(0.3)
    assert 0.25 < small.seconds < 5
    assert held.sum() > 0
    assert 150 < large.peak_mib - small.peak_mib < 300


def test_the_memory_of_what_it_started_counts():
    with metered() as none:
        time.sleep(0.15)
    code = "held = bytearray(b'x' * (150 * 2**20)); import time; time.sleep(1)"
    with metered() as cost:
        subprocess.run([sys.executable, "-c", code], check=True)
    assert cost.peak_mib - none.peak_mib > 140


def test_a_fault_inside_goes_on_and_is_measured():
    try:
        with metered() as cost:
            raise KeyError
    except KeyError:
        pass
    assert cost.peak_mib > 0


def test_a_stage_replaces_its_own_notes_alone(tmp_path):
    path = tmp_path / "costs.json"
    note_costs(path, "baselines", {"IMAPA": {"a": Cost(1.0, 10.0)}, "old": {"a": Cost(1.0, 10.0)}})
    note_costs(path, "evaluate", {"SegSRGAN": {"a": Cost(2.0, 20.0)}})
    note_costs(path, "baselines", {"IMAPA": {"b": Cost(3.0, 30.0)}})
    assert json.loads(path.read_text()) == {
        "baselines": {"IMAPA": {"b": {"seconds": 3.0, "peak_mib": 30.0}}},
        "evaluate": {"SegSRGAN": {"a": {"seconds": 2.0, "peak_mib": 20.0}}},
    }
