"""Kill a training run at random moments, resume it, and compare it with one that was left alone.

    python tests/measure/kill.py FOLDER ROUNDS

Each round starts a run, kills it with SIGKILL, checks what it left and resumes it to its end. The
runs are forked from this process, which imports PyTorch only once.
"""

import os
import pathlib
import random
import re
import signal
import sys
import time
import traceback

import torch
from training import train  # finds common, too

# isort: split
from common import TINY_CORPUS, differences, tiny_constants

from machinery.checkpoints import load_checkpoint


def start(constants, log):
    """Fork a run; :return: its process number"""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        for name, value in constants.items():
            setattr(train, name, value)
        train.default_device = lambda: torch.device("cpu")
        sys.stdout = open(log, "a", buffering=1)  # lines that were printed survive the kill
        train.main()
        status = 0
    except BaseException:
        traceback.print_exc()
    os._exit(status)


def look_at(constants, log):
    """Check what a killed run left; :return: the number of epochs that had ended"""
    output = log.read_text() if log.exists() else ""
    ended = len(re.findall(r"^epoch .*\n", output, re.MULTILINE))
    for path in (constants["last_file"], constants["best_file"]):
        if ended or os.path.exists(path):
            epoch = load_checkpoint(path)["epoch"]
            assert path == constants["best_file"] or epoch in (ended, ended + 1), (epoch, ended)
    return ended


def main(folder, rounds):
    """Print how many runs were killed, and after how many epochs each."""
    torch.set_num_threads(1)
    generator = random.Random(1)
    torch.optim.AdamW([torch.zeros(1, requires_grad=True)], fused=True)  # imports a lot, once
    corpus = folder / "tiny.txt"
    corpus.write_text(TINY_CORPUS, encoding="utf-8")

    def constants_of(name):
        return tiny_constants(corpus, folder / name) | dict(epochs=5, lr=0.02)

    begin = time.monotonic()
    assert os.waitpid(start(constants_of("whole"), folder / "whole.log"), 0)[1] == 0
    duration = time.monotonic() - begin

    kills, tries, after = 0, 0, []
    while kills < rounds:
        name = f"try_{tries}"
        constants, log = constants_of(name), folder / f"{name}.log"
        child = start(constants, log)
        time.sleep(generator.uniform(0, duration))
        os.kill(child, signal.SIGKILL)
        killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])  # or it was faster
        ended = look_at(constants, log)
        if os.path.exists(constants["last_file"]):
            constants["checkpoint"] = constants["last_file"]
        assert os.waitpid(start(constants, log), 0)[1] == 0
        for file in ("last.pt", "best.pt"):
            different = differences(folder / name / file, folder / "whole" / file)
            assert not different, (name, file, different)
        if killed:
            kills += 1
            after.append(ended)
        tries += 1
    print(f"killed {kills} runs; how many epochs each had finished: {sorted(after)}")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), int(sys.argv[2]))
