from segsrgan_study import progress
from segsrgan_study.progress import Progress


def test_what_is_being_done_is_told_now_and_then(capsys, monkeypatch):
    monkeypatch.delenv(progress.LOG_VARIABLE, raising=False)
    counter = Progress("labelled", 4)
    counter.tell("IMAPA 10%")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", -1.0)
    counter.tell("IMAPA 50%")
    counter.reach(1)
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "labelled 0/4  IMAPA 50%"
    assert told[1].startswith("labelled 1/4, ")
