import json
import re

import pandas as pd

from segsrgan_study.cost import note_costs, write_run


def test_a_stage_replaces_its_own_notes_alone(tmp_path):
    path = tmp_path / "costs.csv"
    note_costs(path, "baselines", [("IMAPA", "a", 1.0), ("old", "a", 1.0)])
    note_costs(path, "evaluate", [("SegSRGAN", "007", 2.0)])
    note_costs(path, "baselines", [("IMAPA", "b", 3.0)])
    rows = "evaluate,SegSRGAN,007,2", "baselines,IMAPA,b,3"
    assert path.read_text().splitlines() == ["stage,method,subject,seconds", *rows]


def test_run_js_holds_times_hardware_and_the_cost_of_each_method(tmp_path):
    noted = tmp_path / "noted.csv"
    note_costs(noted, "baselines", [("IMAPA", "a", 58.0), ("IMAPA", "b", 62.0)])
    note_costs(noted, "evaluate", [("SegSRGAN", "a", 58.0)])
    text = write_run(tmp_path, {"simulate": 12.4, "train": 301.0}, noted).read_text()
    page = json.loads(text.partition(" = ")[2].rstrip(";\n"))
    assert text.startswith("document.getElementById('run').innerHTML = ")
    for piece in ("time of train", "5 min 01 s", "time of all stages", "5 min 13 s", "processor", "cores"):
        assert piece in page
    assert re.search(r"IMAPA.*\s+.*2<.*\s+.*1 min 00 s<.*\s+.*58 s<.*\s+.*1 min 02 s<", page)
    table = pd.read_csv(tmp_path / "costs.csv")
    assert table.columns.tolist() == ["method", "subject", "seconds"]
    assert table["seconds"].tolist() == [58, 62, 58]
    assert "IMAPA" not in write_run(tmp_path, {"train": 301.0}, tmp_path / "none.csv").read_text()
