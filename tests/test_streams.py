"""stdout, stderr and stdin as a script finds them: encoding, flushing, closed streams, warnings."""

import io
import os
import subprocess
import sys

import pytest

import inference
from machinery.errors import run_script


class Log(io.RawIOBase):
    """A file that notes each write, as a disk would get it."""

    def __init__(self):
        self.writes = []

    def writable(self):
        return True

    def write(self, data):
        self.writes.append(bytes(data))
        return len(data)


def test_output_is_utf8_and_each_line_is_written_at_once(monkeypatch):
    log = Log()
    stdout = io.TextIOWrapper(io.BufferedWriter(log), encoding="cp1252")  # as redirected on Windows
    monkeypatch.setattr(sys, "stdout", stdout)

    def main():
        print("B-日本")
        assert b"".join(log.writes) == "B-日本\n".encode()
        print("caf\udce9.txt", end="")  # a file's name that is not UTF-8

    run_script(main)
    assert b"".join(log.writes) == "B-日本\ncaf\\udce9.txt".encode()


def test_a_stdout_without_an_encoding(monkeypatch):
    """As in a notebook."""
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    run_script(lambda: print("B-日本"))
    assert sys.stdout.getvalue() == "B-日本\n"


CLOSED = """if True:
    import os, sys
    from machinery.errors import run_script
    from machinery.text import decoded_lines, open_with_bar

    def main():
        with open_with_bar(sys.argv[1], "text") as (file, bar):
            assert file.fileno() > 2
            for _, line in decoded_lines(file, "text", bar):
                print(line)
        os.write(2, b"of a library; ")
        print("the end", file=sys.stderr)

    run_script(main)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs a shell that closes streams")
@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-", "<&- >&- 2>&-"])
def test_closed_streams(root, tmp_path, closed):
    path = tmp_path / "text"
    path.write_text("a\nb\n")
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh"]
    command = [*shell, sys.executable, "-c", CLOSED, str(path)]
    result = subprocess.run(command, cwd=root, stdin=subprocess.DEVNULL, capture_output=True)
    assert result.returncode == 0
    assert result.stdout == (b"" if " >&-" in f" {closed}" else b"a\nb\n")
    assert result.stderr == (b"" if "2>" in closed else b"of a library; the end\n")


def test_training_and_tagging_with_closed_streams(
    tiny_train, tiny_checkpoint, tiny_corpus, monkeypatch, capsys
):
    monkeypatch.setattr(tiny_train, "epochs", 1)
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    run_script(tiny_train.main)
    assert os.path.exists(tiny_train.last_file)

    monkeypatch.undo()
    capsys.readouterr()
    monkeypatch.setattr(sys, "stderr", None)
    arguments = ["--checkpoint", str(tiny_checkpoint), "--conll", str(tiny_corpus)]
    monkeypatch.setattr(sys, "argv", ["inference.py", *arguments])
    run_script(inference.main)
    assert capsys.readouterr().out.startswith("Dunston B-PER ")


@pytest.mark.skipif(os.name != "posix", reason="needs a shell that closes streams")
def test_scripts_without_stdout_and_without_numpy(root, tmp_path):
    """Nothing but the error is on stderr: not what PyTorch says if there is no NumPy."""
    missing = """raise ModuleNotFoundError("No module named 'numpy'", name="numpy")\n"""
    (tmp_path / "numpy.py").write_text(missing)
    started = [
        subprocess.Popen(
            ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, str(root / script)],
            cwd=tmp_path,  # with neither data nor a checkpoint
            env=os.environ | dict(PYTHONPATH=str(tmp_path)),
            stderr=subprocess.PIPE,
            text=True,
        )
        for script in ("train.py", "inference.py")
    ]
    for process, missing in zip(started, ("data/train.txt", "best_checkpoint.pt"), strict=True):
        _, errors = process.communicate()
        assert process.returncode == 1 and len(errors.splitlines()) == 1, errors
        assert errors.startswith(f"Error: {missing}: ")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes"),
    ],
)
def test_where_memory_ends_the_error_says_what_to_make_smaller(as_command, error):
    def fail():
        raise error

    status, (line,) = as_command(fail)
    assert status == 1 and line.startswith("Error: memory ended (") and "batch_size" in line
    with pytest.raises(RuntimeError, match="another"):
        as_command(lambda: (_ for _ in ()).throw(RuntimeError("another")))
