"""Progress on a terminal redraws one line; elsewhere it is a few plain lines."""

import io

import pytest

from gaussian_lens_app.commands.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch):
    """Seconds that tests set."""
    now = [0.0]
    monkeypatch.setattr("gaussian_lens_app.commands.progress.time.monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_a_stage_and_one_now_and_then(clock):
    log = io.StringIO()
    with Progress(log) as progress:
        for step in range(200):
            clock[0] = step / 10
            progress(f"Fitting: loss {1 - step / 1000}", step / 1000)
        clock[0] = 20.0
        progress("Judging", 0.95)
        clock[0] = 20.1
        progress("A stage too short to be told", 0.96)
    lines = [line.split("(")[0].split() for line in log.getvalue().splitlines()]
    assert [line[1] for line in lines] == ["Fitting:", "Fitting:", "Judging"]
    assert "\r" not in log.getvalue()


def seen(written: str) -> str:
    """What stands on the terminal's line after carriage returns have overwritten it."""
    line = ""
    for part in written.split("\r"):
        line = part + line[len(part) :]
    return line.rstrip()


def test_a_terminal_gets_a_bar_on_one_line_that_leaves_nothing_behind():
    terminal = Terminal()
    with Progress(terminal) as progress:
        progress("A stage with a long name", 0.5)
        assert seen(terminal.getvalue()).endswith(" 50%  A stage with a long name")
        progress("Short", 0.75)
        assert seen(terminal.getvalue()).endswith("#........]  75%  Short")
    assert "\n" not in terminal.getvalue()
    assert seen(terminal.getvalue()) == ""


def test_a_line_is_never_longer_than_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    terminal = Terminal()
    Progress(terminal)("A stage whose name goes on and on and on", 0.5)
    assert len(seen(terminal.getvalue())) < 50


def test_a_fraction_out_of_range_does_not_break_the_bar():
    terminal = Terminal()
    progress = Progress(terminal)
    progress("Over", 1.2)
    progress("Under", -0.1)
    assert "100%" in terminal.getvalue()
