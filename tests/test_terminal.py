"""What a person at a terminal sees: answers at once, tables without bars in them."""

import contextlib
import functools
import os
import select
import struct
import sys
import time

import pytest
from parallel import Team, run_file

from inference import Tagger


class Terminal:
    """A terminal of our own, in which a script runs.

    :param stdout: None, or the name of a pipe to be its stdout
    """

    def __init__(self, folder, script, *arguments, stdout=None):
        fcntl, pty, termios = map(pytest.importorskip, ("fcntl", "pty", "termios"))
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 200, 0, 0))
        modes = termios.tcgetattr(theirs)
        modes[3] &= ~termios.ECHO  # what we type is not part of what we see
        termios.tcsetattr(theirs, termios.TCSANOW, modes)
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), os.ttyname(theirs))
        streams |= {} if stdout is None else dict(stdout=str(stdout))
        self.theirs = theirs  # open until the script has opened it
        self.team = Team(1, folder, functools.partial(run_file, **streams), script, *arguments)

    def type(self, line):
        """Type a line, and Enter."""
        os.write(self.ours, f"{line}\n".encode())

    def until(self, text, stream=None, seconds=120):
        """What is to be seen, up to and including a text; fails if it does not come."""
        seen, end = b"", time.monotonic() + seconds
        stream = self.ours if stream is None else stream
        while not seen.endswith(text.encode()):
            assert select.select([stream], [], [], max(0, end - time.monotonic()))[0], seen
            some = os.read(stream, 1)
            assert some, seen
            seen += some
        return seen.decode()

    def end(self):
        """Ctrl-D; what is still to be seen then, and the exit status."""
        os.close(self.theirs)
        os.write(self.ours, b"\x04")
        seen = b""
        with contextlib.suppress(OSError):  # on Linux, the end
            while some := os.read(self.ours, 1000):
                seen += some
        os.close(self.ours)
        (status,), _, _ = self.team.wait(120)
        return seen.decode(), status


def test_typed_sentences_are_answered_at_once(root, tmp_path, tiny_checkpoint):
    script = root / "inference.py"
    terminal = Terminal(tmp_path, script, "--checkpoint", tiny_checkpoint)
    terminal.type("Paris is old")
    first = terminal.until("\r\n\r\n")  # before the next is typed
    terminal.type("in")
    second = terminal.until("\r\n\r\n")
    assert [line.split()[0] for line in first.split("\r\n") if line] == ["Paris", "is", "old"]
    assert second.split()[0] == "in"
    assert "\r" not in (first + second).replace("\r\n", "")  # no bar
    assert terminal.end() == ("", 0)


def test_typed_sentences_reach_another_program_at_once(root, tmp_path, tiny_checkpoint):
    pytest.importorskip("pty")
    os.mkfifo(tmp_path / "pipe")
    given = root / "inference.py", "--checkpoint", tiny_checkpoint, "--tokenized"
    terminal = Terminal(tmp_path, *given, stdout=tmp_path / "pipe")
    with open(tmp_path / "pipe", "rb", buffering=0) as pipe:
        for sentence in (["Paris", "it's"], ["in"]):
            terminal.type(" ".join(sentence))
            answer = terminal.until("\n\n", pipe.fileno())
            assert [line.split(" ")[0] for line in answer.splitlines() if line] == sentence
        assert terminal.end()[1] == 0
        assert pipe.read() == b""


def test_a_notebook_sees_no_bars(tiny_checkpoint, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    tagger = Tagger(tiny_checkpoint)
    assert len(tagger.tag([["Paris"], ["is", "old"]])) == 2
    assert len(list(tagger.stream([["Paris"]]))) == 1
    assert len(tagger.tag_with_confidence([["Paris"]])) == 1
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("terminal", ["stdout", "stderr"])
def test_table_and_bar_are_for_terminals(tiny_checkpoint, monkeypatch, run_inference, terminal):
    monkeypatch.setattr(getattr(sys, terminal), "isatty", lambda: True)
    arguments = ("--checkpoint", tiny_checkpoint)
    status, errors, output = run_inference(*arguments, stdin=b"Paris is \x1b old.\n\n")
    assert status == 0
    if terminal == "stdout":
        assert output.startswith("Paris  ") and "\\x1b   " in output and errors == []
    else:
        assert "stdin" in "".join(errors) and "sentences/s" in "".join(errors)
        assert output.startswith("Paris ") and "\x1b " in output and output.endswith("\n\n\n")


def test_tables_have_no_bar_in_them(tiny_checkpoint, monkeypatch, run_inference):
    """Where both streams are the terminal, a bar would stand between the rows."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    arguments = ("--checkpoint", tiny_checkpoint)
    with monkeypatch.context() as patch:
        patch.setattr(sys.stdout, "isatty", lambda: True)
        assert run_inference(*arguments, stdin=b"Paris\nis\n")[1] == []
    status, bar, output = run_inference(*arguments, stdin=b"Paris\nis\n")
    assert status == 0 and "stdin" in "".join(bar) and len(output.splitlines()) == 4
