"""Nothing is lost: kill -9, a full disk, Ctrl-C, training that diverges."""

import functools
import os
import signal
import subprocess
import sys
import time

import kill
import pytest
import torch
from parallel import Team, run_file

import models
from inference import Tagger
from machinery import checkpoints, files, report
from machinery.checkpoints import load_checkpoint
from machinery.errors import InputError

# kill -9 -----------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("rounds", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_killed_runs_resume_to_the_same_weights(tmp_path, rounds):
    statuses, output, errors = Team(1, tmp_path, kill.main, tmp_path, rounds).wait(
        300 + 10 * rounds
    )
    assert statuses == [0], (output, errors)
    assert f"killed {rounds} runs" in output


# A full disk -------------------------------------------------------------------------------------


def save_to_full_disk(as_command, folder):
    """Save 4 MB where there is no room for it; :return: what is said"""
    path, before = folder / "last.pt", os.listdir(folder)
    large = {"a": torch.zeros(1_000_000)}
    status, errors = as_command(lambda: checkpoints.save_checkpoint(path, large))
    assert status == 1 and len(errors) == 1
    assert os.listdir(folder) == before
    return errors[0]


def test_all_is_on_the_disk_before_a_file_takes_its_name(tmp_path, monkeypatch):
    """At fsync the file has all its bytes, and the old file still has the name."""
    path, seen = tmp_path / "last.pt", []
    fsync = os.fsync

    def spy(number):
        seen.append((os.fstat(number).st_size, path.exists()))
        fsync(number)

    monkeypatch.setattr(os, "fsync", spy)
    files.replace(path, b"12345")
    assert seen == [(5, False)] and path.read_bytes() == b"12345"


@pytest.mark.parametrize("limit", [1000, 3_999_000])
def test_a_file_that_may_not_grow_leaves_the_checkpoint_before(tmp_path, as_command, limit):
    resource = pytest.importorskip("resource")
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    said = []
    for first in (True, False):
        if not first:
            checkpoints.save_checkpoint(tmp_path / "last.pt", {"a": 1})
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            said.append(save_to_full_disk(as_command, tmp_path))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))
    reason = f"Error: {tmp_path / 'last.pt'}: File too large; it was not saved, and a file of this"
    assert said == [f"{reason} name is as it was"] * 2
    assert torch.load(tmp_path / "last.pt", weights_only=True) == {"a": 1}


@pytest.mark.slow
def test_a_full_disk_leaves_the_checkpoint_before(tmp_path, as_command):
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to mount a small disk")
    try:
        checkpoints.save_checkpoint(tmp_path / "last.pt", {"a": 1})
        said = save_to_full_disk(as_command, tmp_path)
        assert "last.pt: No space left on device" in said
        assert torch.load(tmp_path / "last.pt", weights_only=True) == {"a": 1}
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


def test_ctrl_c_says_how_to_resume(edited_script, tmp_path):
    """What `python train.py` has saved by then can tag."""
    run = Team(1, tmp_path, run_file, edited_script(epochs=1_000_000, patience=1_000_000))
    run.until("\nepoch   2")
    run.send_signal(signal.SIGINT)
    statuses, _, errors = run.wait()
    assert statuses == [130]
    epoch = load_checkpoint(tmp_path / "last_checkpoint.pt")["epoch"]
    assert epoch >= 2 and load_checkpoint(tmp_path / "best_checkpoint.pt")["epoch"] <= epoch + 1
    assert errors.splitlines() == [
        'Stopped; to go on after the last epoch that ended, set checkpoint = "last_checkpoint.pt"'
    ]
    assert len(Tagger(tmp_path / "best_checkpoint.pt").tag([["Paris", "is"]])[0]) == 2
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
@pytest.mark.parametrize("script", ["train.py", "inference.py"])
def test_ctrl_c_during_the_imports(root, tmp_path, script):
    """With a PyTorch that takes its time."""
    (tmp_path / "torch.py").write_text(
        "print('importing', flush=True)\nimport time\ntime.sleep(99)"
    )
    run = subprocess.Popen(
        [sys.executable, root / script],
        cwd=tmp_path,
        env=os.environ | dict(PYTHONPATH=str(tmp_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.stdout.readline() == "importing\n"
    run.send_signal(signal.SIGINT)
    assert run.communicate() == ("", "") and run.returncode == -signal.SIGINT


TWICE = """if True:
    import os, signal
    from machinery.errors import end_at_ctrl_c, run_script

    def press():
        os.kill(os.getpid(), signal.SIGINT)

    def main():
        try:
            press()
        finally:
            press()

    def advice():
        return "Stopped"

    end_at_ctrl_c()
    run_script(main, advice)
"""


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_ctrl_c_twice_is_as_once(root):
    result = subprocess.run([sys.executable, "-c", TWICE], cwd=root, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (130, "Stopped\n")


@pytest.mark.parametrize("finished", [0, 1])
def test_ctrl_c_in_an_epoch(tiny_train, monkeypatch, tmp_path, as_command, finished):
    """Finished epochs are saved. Another run's checkpoint is not offered as this run's."""
    tiny_train.main()
    before = load_checkpoint(tiny_train.last_file)
    os.utime(tiny_train.last_file, (1e9, 1e9))  # some time ago
    train_epoch = tiny_train.train_epoch

    def interrupted(*arguments):
        if arguments[-1].epoch == finished:
            raise KeyboardInterrupt
        return train_epoch(*arguments)

    monkeypatch.setattr(tiny_train, "train_epoch", interrupted)
    advice = functools.partial(report.how_to_resume, tiny_train.last_file, time.time() - 1)
    status, errors = as_command(tiny_train.main, advice)
    assert status == 130
    if finished:
        assert len(errors) == 1 and "to go on after the last epoch that ended, set" in errors[0]
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
        checkpoint=tiny_train.last_file, epochs=4, lr=1e30, grad_clip=None
    ).items():
        monkeypatch.setattr(tiny_train, name, value)
    status, errors = as_command(tiny_train.main)
    assert status == 1 and len(errors) == 1
    assert "epoch 3, batches 1 to 2, learning rate 1e+30" in errors[0]
    assert "found NaN or infinity" in errors[0]
    assert {path: path.read_bytes() for path in tmp_path.glob("*.pt")} == before


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_bad_loss_is_noticed_within_ten_batches(tiny_train, monkeypatch, value):
    losses = iter([1.0] * 12 + [value] + [1.0] * 30)
    loss = models.ViterbiLoss.forward

    def made_up(*given, **named):
        return 0 * loss(*given, **named) + next(losses)

    monkeypatch.setattr(models.ViterbiLoss, "forward", made_up)
    data = [["a", "b"]] * 40, [["X", "Y"]] * 40
    monkeypatch.setattr(tiny_train, "read_words_tags", lambda *arguments: data)
    monkeypatch.setattr(tiny_train, "batch_size", 1)
    with pytest.raises(InputError, match="epoch 1, batches 11 to 20"):
        tiny_train.main()


def test_weights_that_the_last_step_ruined_are_not_saved(tiny_train, monkeypatch, tmp_path):
    """The losses, computed before each step, were all finite."""
    step = torch.optim.AdamW.step

    def ruin(self, *arguments, **keywords):
        step(self, *arguments, **keywords)
        self.param_groups[0]["params"][0].data[0] = float("nan")

    monkeypatch.setattr(torch.optim.AdamW, "step", ruin)
    monkeypatch.setattr(tiny_train, "batch_size", 4)  # one step an epoch
    with pytest.raises(InputError, match="epoch 1, batches 1 to 1, learning rate 0.002"):
        tiny_train.main()
    assert not list(tmp_path.glob("*.pt"))
