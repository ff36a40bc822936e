"""Start processes that train together, as torchrun does but faster: PyTorch is imported once.

The processes are forked from a server that has imported PyTorch, pytest and the scripts, and done
nothing else. They get the environment variables that torchrun sets; this process holds the store by
which they meet, and ends them all when one has failed.
"""

import multiprocessing
import os
import pathlib
import runpy
import sys
import time

import torch
import torch.distributed as dist

METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
CONTEXT = multiprocessing.get_context(METHOD)
if METHOD == "forkserver":
    # What the first training step of a process imports, and what gloo and DDP do, takes seconds.
    LATER = ["torch._dynamo", "torch.distributed.tensor"]
    CONTEXT.set_forkserver_preload([*LATER, "tqdm", "pytest", "train", "inference"])


class Team:
    """Processes that run `function(*arguments)` together, on the CPU, with one thread each.

    :param function: of a module that the processes can import
    :param folder: where they write what they print
    """

    def __init__(self, count, folder, function, *arguments):
        self.store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        self.folder = pathlib.Path(folder)
        self.members = []
        for rank in range(count):
            given = count, rank, self.store.port, str(self.folder), function, arguments
            self.members.append(CONTEXT.Process(target=_member, args=given, daemon=True))
            self.members[-1].start()

    def wait(self, seconds=300):
        """Wait until all have ended, and end those that are left when one has failed.

        :return: their exit statuses, and all that they wrote to stdout and to stderr
        """
        end = time.monotonic() + seconds
        while any(member.is_alive() for member in self.members):
            if time.monotonic() > end or any(member.exitcode for member in self.members):
                for member in self.members:
                    member.terminate()
            time.sleep(0.02)
        assert time.monotonic() < end, f"expected an end within {seconds} s: {self.written('err')}"
        statuses = [member.exitcode for member in self.members]
        return statuses, self.written("out"), self.written("err")

    def until(self, text, seconds=300):
        """Wait until one has written `text` to stdout; fails at once if all have ended without."""
        end = time.monotonic() + seconds
        while text not in self.written("out"):
            waits = time.monotonic() < end and any(member.is_alive() for member in self.members)
            assert waits or text in self.written("out"), self.written("err")
            time.sleep(0.02)

    def send_signal(self, number):
        """Send a signal to all."""
        for member in self.members:
            os.kill(member.pid, number)

    def written(self, name):
        """What all have written to stdout or stderr."""
        files = (self.folder / f"{rank}.{name}" for rank in range(len(self.members)))
        return "".join(file.read_text() for file in files if file.exists())


def _member(count, rank, port, folder, function, arguments):
    """What one process does."""
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(count),
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
        TORCHELASTIC_USE_AGENT_STORE="True",  # the store exists, no process needs to open it
        TORCHELASTIC_RESTART_COUNT="0",
        CUDA_VISIBLE_DEVICES="",
    )
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{folder}/{rank}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.stdout = open(1, "w", buffering=1, closefd=False)
    sys.stderr = open(2, "w", buffering=1, closefd=False)
    torch.set_num_threads(1)
    function(*arguments)


def run_file(path, *arguments, **streams):
    """What `python path arguments` does in its folder.

    :param streams: names of files, pipes or terminals for stdin, stdout and stderr
    """
    os.chdir(path.parent)
    sys.argv = [path.name, *map(str, arguments)]
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if name in streams:
            mode = os.O_WRONLY if number else os.O_RDONLY
            os.dup2(os.open(streams[name], mode), number)
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))
    runpy.run_path(path.name, run_name="__main__")
