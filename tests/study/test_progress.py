from contextlib import suppress
from unittest.mock import Mock

from segsrgan_study import progress
from segsrgan_study.progress import Progress, track


def test_what_is_being_done_is_told_now_and_then(capsys, monkeypatch):
    monkeypatch.delenv(progress.LOG_VARIABLE, raising=False)
    with Progress("labelled", 4) as counter:
        counter.tell("IMAPA 10%")
        assert capsys.readouterr().err == ""
        monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", -1.0)
        counter.tell("IMAPA 50%")
        counter.reach(1)
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "labelled 0/4  IMAPA 50%"
    assert told[1].startswith("labelled 1/4, ")


def test_no_bar_stays_on_the_screen_after_a_failure_or_an_early_end(monkeypatch):
    bar = Mock()
    monkeypatch.delenv(progress.LOG_VARIABLE, raising=False)
    monkeypatch.setattr(progress, "_in_a_notebook", lambda: True)
    monkeypatch.setattr(progress, "tqdm", lambda **_: bar)
    with suppress(ZeroDivisionError):
        for item in track([1, 2], "counted"):
            raise ZeroDivisionError(item)
    bar.close.assert_called_once()
    for _ in track([1, 2], "counted"):
        break
    assert bar.close.call_count == 2
    assert progress._shown == []
