"""Nothing lost: kill -9, a full disk, Ctrl-C and training that diverges."""

import errno
import functools
import os
import signal
import subprocess
import sys

import pytest
import torch

from machinery import checkpoints, runs
from machinery.checkpoints import load_checkpoint
from machinery.errors import InputError


def script(root, *arguments):
    """Run a script in the tests' folder; :return: what it printed"""
    result = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=root,
        env=os.environ | dict(OMP_NUM_THREADS="1", CUDA_VISIBLE_DEVICES=""),
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, (result.returncode, result.stdout, result.stderr)
    print(result.stdout)
    return result.stdout


# kill -9 -----------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("rounds", [5, pytest.param(50, marks=pytest.mark.slow)])
def test_killed_runs_resume_to_the_same_weights(root, tmp_path, rounds):
    assert f"killed {rounds} runs" in script(root, "tests/kill.py", tmp_path, rounds)


def test_a_kill_between_best_and_last_loses_nothing(tiny_train, monkeypatch, tmp_path):
    """Resuming is then behind the best file, which is kept until it is written anew."""
    saved = []

    class Killed(BaseException):
        pass

    def save(path, state):
        if len(saved) == 3:
            raise Killed  # the second epoch's best is written, its last is not
        saved.append(path)
        checkpoints.save_checkpoint(path, state)

    monkeypatch.setattr(tiny_train, "save_checkpoint", save)
    monkeypatch.setattr(tiny_train, "record_epoch", always_better(runs.record_epoch))
    with pytest.raises(Killed):
        tiny_train.main()
    assert load_checkpoint(tiny_train.best_file)["epoch"] == 2
    assert load_checkpoint(tiny_train.last_file)["epoch"] == 1
    monkeypatch.setattr(tiny_train, "checkpoint", tiny_train.last_file)
    with pytest.raises(Killed):  # at the first save
        tiny_train.main()
    assert load_checkpoint(tiny_train.best_file)["epoch"] == 2


def always_better(record_epoch):
    """record_epoch, with a score that rises."""
    return lambda state, score, *rest: record_epoch(state, state["best_score"] + 1, *rest)


# A full disk -------------------------------------------------------------------------------------

FULL_DISK = """if True:
    import resource, signal, sys
    import torch
    from machinery.checkpoints import save_checkpoint
    from machinery.errors import run_script
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limit = int(sys.argv[2])
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    run_script(lambda: save_checkpoint(sys.argv[1], {"a": torch.zeros(1_000_000)}))
"""


def save_to_full_disk(root, folder, limit):
    """Save 4 MB where there is no room for it, over a small checkpoint."""
    path = folder / "last.pt"
    checkpoints.save_checkpoint(path, {"a": 1})
    command = [sys.executable, "-c", FULL_DISK, str(path), str(limit)]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert torch.load(path, weights_only=True) == {"a": 1}
    assert [file.name for file in folder.iterdir()] == ["last.pt"]
    return result.stderr


@pytest.mark.parametrize("limit", [1000, 3_999_000])
def test_a_file_that_may_not_grow_leaves_the_checkpoint_before(root, tmp_path, limit):
    pytest.importorskip("resource")
    error = save_to_full_disk(root, tmp_path, limit)
    assert "last.pt: File too large; the checkpoint could not be saved" in error


@pytest.mark.slow
def test_a_full_disk_leaves_the_checkpoint_before(root, tmp_path):
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to mount a small disk")
    try:
        assert "last.pt: No space left on device" in save_to_full_disk(root, tmp_path, 0)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.parametrize("constant", ["last_file", "best_file"])
def test_where_nothing_can_be_saved_is_said_before_training(
    tiny_train, monkeypatch, tmp_path, as_command, constant
):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for path in (tmp_path / "folder", tmp_path / "file" / "last.pt"):
        monkeypatch.setattr(tiny_train, constant, str(path))
        monkeypatch.setattr(tiny_train, "train_epoch", None)  # not called
        status, errors = as_command(tiny_train.main)
        assert status == 1 and len(errors) == 1 and str(tmp_path) in errors[0]


# Ctrl-C ------------------------------------------------------------------------------------------


def test_ctrl_c_says_how_to_resume(edited_copy, tmp_path):
    run = edited_copy(epochs=1_000_000, patience=1_000_000)
    for line in run.stdout:
        if line.startswith("epoch   2"):
            break
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate()
    assert run.returncode == 130
    epoch = load_checkpoint(tmp_path / "last_checkpoint.pt")["epoch"]
    assert epoch >= 2 and load_checkpoint(tmp_path / "best_checkpoint.pt")["epoch"] <= epoch + 1
    assert errors.splitlines() == [
        f'Stopped; to go on after epoch {epoch}, set checkpoint = "last_checkpoint.pt"'
    ]
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.parametrize("finished", [0, 1])
def test_ctrl_c_in_an_epoch(tiny_train, monkeypatch, tmp_path, as_command, finished):
    """The epochs before are saved. What another run saved is not offered as this run's."""
    tiny_train.main()
    before = load_checkpoint(tiny_train.last_file)
    train_epoch = tiny_train.train_epoch

    def interrupted(*arguments):
        if arguments[-1] == finished:
            raise KeyboardInterrupt
        return train_epoch(*arguments)

    monkeypatch.setattr(tiny_train, "train_epoch", interrupted)
    advice = functools.partial(tiny_train.how_to_resume, tiny_train.last_saved())
    status, errors = as_command(tiny_train.main, advice)
    assert status == 130
    if finished:
        assert len(errors) == 1 and "to go on after epoch 1" in errors[0]
        assert load_checkpoint(tmp_path / "last.1.pt")["run"] == before["run"]
    else:
        assert errors == ["Stopped before an epoch had ended: no checkpoint was written"]
        assert load_checkpoint(tiny_train.last_file)["run"] == before["run"]


def test_a_notebook_sees_the_interrupt(tiny_train, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(tiny_train, "train_epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tiny_train.main()


# Divergence --------------------------------------------------------------------------------------


def test_training_that_diverges_stops_and_keeps_what_was_saved(
    tiny_train, monkeypatch, tmp_path, as_command
):
    tiny_train.main()
    before = {path: path.read_bytes() for path in tmp_path.glob("*.pt")}
    for name, value in dict(
        checkpoint=tiny_train.last_file, epochs=9, lr=1e30, grad_clip=None
    ).items():
        monkeypatch.setattr(tiny_train, name, value)
    status, errors = as_command(tiny_train.main)
    assert status == 1 and len(errors) == 1
    assert "epoch 3, batches 1 to 2, learning rate 9.09091e+29" in errors[0]
    assert "found NaN or infinity" in errors[0]
    assert {path: path.read_bytes() for path in tmp_path.glob("*.pt")} == before


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_bad_loss_is_noticed_within_ten_batches(tiny_train, monkeypatch, value):
    losses = iter([1.0] * 12 + [value] + [1.0] * 30)
    loss = tiny_train.ViterbiLoss.forward

    def made_up(*given, **named):
        return 0 * loss(*given, **named) + next(losses)

    monkeypatch.setattr(tiny_train.ViterbiLoss, "forward", made_up)
    data = [["a", "b"]] * 40, [["X", "Y"]] * 40
    monkeypatch.setattr(tiny_train, "read_words_tags", lambda *arguments: data)
    monkeypatch.setattr(tiny_train, "batch_size", 1)
    with pytest.raises(InputError, match="epoch 1, batches 11 to 20"):
        tiny_train.main()


def test_weights_that_the_last_step_ruined_are_not_saved(tiny_train, monkeypatch, tmp_path):
    """The losses, taken before each step, were all finite."""
    step = torch.optim.SGD.step

    def ruin(self, *arguments, **keywords):
        step(self, *arguments, **keywords)
        self.param_groups[0]["params"][0].data[0] = float("nan")

    monkeypatch.setattr(torch.optim.SGD, "step", ruin)
    monkeypatch.setattr(tiny_train, "batch_size", 4)  # one step an epoch
    with pytest.raises(InputError, match="epoch 1, batches 1 to 1, learning rate 0.015"):
        tiny_train.main()
    assert not list(tmp_path.glob("*.pt"))


def test_saving_says_what_the_disk_said(tmp_path, monkeypatch):
    """torch.save raises a RuntimeError where writing fails; other RuntimeErrors are bugs."""

    def fail(*arguments):
        raise RuntimeError("a bug")

    monkeypatch.setattr(checkpoints.torch, "save", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        checkpoints.save_checkpoint(tmp_path / "last.pt", {})

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints.torch, "save", full)
    with pytest.raises(OSError, match="No space left") as caught:
        checkpoints.save_checkpoint(tmp_path / "last.pt", {})
    assert caught.value.filename == str(tmp_path / "last.pt")
