import json
import re
import subprocess
import sys
import time
from contextlib import suppress

import numpy as np
import pandas as pd

from segsrgan_study.cost import Cost, metered, note_costs, write_run


def test_time_and_memory_are_measured_also_of_what_was_started_and_after_a_fault():
    with metered() as small:
        time.sleep(0.3)
    with suppress(KeyError), metered() as large:
        held = np.ones(200 * 2**17)  # 200 MiB
        time.sleep(0.3)
        raise KeyError
    assert 0.25 < small.seconds < 5
    assert held.sum() > 0
    assert 150 < large.peak_mib - small.peak_mib < 300
    code = "held = bytearray(b'x' * (150 * 2**20)); import time; time.sleep(1)"
    with metered() as child:
        subprocess.run([sys.executable, "-c", code], check=True)
    assert child.peak_mib - large.peak_mib > 140


def test_a_stage_replaces_its_own_notes_alone(tmp_path):
    path = tmp_path / "costs.csv"
    note_costs(path, "baselines", [("IMAPA", "a", Cost(1.0, 10.0)), ("old", "a", Cost(1.0, 10.0))])
    note_costs(path, "evaluate", [("SegSRGAN", "007", Cost(2.0, 20.0))])
    note_costs(path, "baselines", [("IMAPA", "b", Cost(3.0, 30.0))])
    rows = "evaluate,SegSRGAN,007,2,20", "baselines,IMAPA,b,3,30"
    assert path.read_text().splitlines() == ["stage,method,subject,seconds,peak_mib", *rows]


def test_run_js_holds_times_hardware_and_the_cost_of_each_method(tmp_path):
    noted = tmp_path / "noted.csv"
    note_costs(noted, "baselines", [("IMAPA", "a", Cost(58.0, 1024.0)), ("IMAPA", "b", Cost(62.0, 1536.0))])
    note_costs(noted, "evaluate", [("SegSRGAN", "a", Cost(58.0, 1024.0))])
    text = write_run(tmp_path, {"simulate": 12.4, "train": 301.0}, noted).read_text()
    page = json.loads(text.partition(" = ")[2].rstrip(";\n"))
    assert text.startswith("document.getElementById('run').innerHTML = ")
    for piece in ("time of train", "5 min 01 s", "time of all stages", "5 min 13 s", "processor", "cores"):
        assert piece in page
    assert re.search(r"IMAPA.*\s+.*2<.*\s+.*1 min 00 s<.*\s+.*58 s<.*\s+.*1 min 02 s<.*\s+.*1.5 GiB", page)
    table = pd.read_csv(tmp_path / "costs.csv")
    assert table.columns.tolist() == ["method", "subject", "seconds", "peak_mib"]
    assert table["seconds"].tolist() == [58, 62, 58]
    assert "IMAPA" not in write_run(tmp_path, {"train": 301.0}, tmp_path / "none.csv").read_text()
