"""Several processes that train together."""

import atexit
import contextlib
import datetime
import functools
import itertools
import os
import pickle
import time
import warnings

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel

from machinery.errors import InputError, visible

_RUNS = itertools.count()  # a script may call train.main more than once


@contextlib.contextmanager
def process_group():
    """Join the other processes that torchrun started; without torchrun, do nothing.

    Only the first process is heard: what the others print is dropped, and they have no bars. An
    error in any of them ends all, and the first that fails is the only one to say why.

    :raises InputError: there are fewer GPUs than processes, or another process was killed
    """
    if not _started_by_torchrun() or processes() > 1:
        yield
        return
    store, number, count = next(dist.rendezvous("env://"))
    store = dist.PrefixStore(f"run {next(_RUNS)}", store)  # what an earlier run left is not ours
    try:
        dist.init_process_group(_backend(), store=store, rank=number, world_size=count)
        with _silence() if number > 0 else contextlib.nullcontext():
            yield
    except BaseException as error:
        if not _first_to_fail(store):
            raise SystemExit(1) from None
        if (
            isinstance(error, dist.DistError)
            or type(error) is RuntimeError
            and "gloo" in str(error)
        ):
            reason = visible(str(error).partition("\n")[0][:120])
            raise InputError(f"another process was killed or does not answer ({reason})") from None
        raise
    # A thread of gloo's may still hold the last tensors, and wait for Python's lock to let them go.
    # PyTorch 2.4 would end the group with that lock held, and wait for the thread for ever.
    time.sleep(0.1)
    dist.destroy_process_group()  # not after an error: the others would fail before it is reported


def _started_by_torchrun():
    """Whether this is one of several processes that shall train together."""
    names = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"}
    return names <= os.environ.keys() and os.environ["WORLD_SIZE"] != "1" and dist.is_available()


@contextlib.contextmanager
def _silence():
    """Drop what is printed, to stdout and to stderr."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            yield


def _backend():
    """How the processes talk: NCCL for what is on a GPU, gloo for all else.

    :raises InputError: there are fewer GPUs than processes
    """
    if not torch.cuda.is_available():
        return "gloo"
    here, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if here >= gpus:
        raise InputError(
            f"torchrun: expected one process for each GPU, at most {gpus} on this computer, "
            f"found process number {here + 1}"
        )
    torch.cuda.set_device(here)
    return "cpu:gloo,cuda:nccl" if dist.is_nccl_available() else "gloo"


def _first_to_fail(store):
    """Whether no other process failed before. If one did, wait until it has said why, so that
    torchrun, which ends all processes when one has ended, lets it finish."""
    try:
        if store.add("failed", 1) == 1:
            atexit.register(store.set, "reported", "")
            return True
        store.wait(["reported"], datetime.timedelta(seconds=10))
    except RuntimeError:  # the store went with torchrun, or the other does not end
        pass
    return False


def default_device():
    """CUDA when there is one, else the CPU; of several processes, each has a GPU of its own."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ["LOCAL_RANK"]) if processes() > 1 else None)


def processes():
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank():
    """The number of this process, counted from 0."""
    return dist.get_rank() if processes() > 1 else 0


def replicated(model):
    """The model, to be trained: with several processes, backward averages its gradients over all.

    Its parameters stay the model's own, and so do their names in `model.state_dict()`.
    """
    return DistributedDataParallel(model) if processes() > 1 else model


def mean_of_processes(tensor):
    """The mean of a tensor over all processes, without gradient; all must ask for it."""
    if processes() == 1:
        return tensor
    total = tensor.detach().clone()
    dist.all_reduce(total)
    return total / processes()


def gather(value):
    """[the value of the first process, of the second, ...], in each; all must ask for it."""
    if processes() == 1:
        return [value]
    # As dist.all_gather_object does it, which needs NumPy.
    own = torch.frombuffer(bytearray(pickle.dumps(value)), dtype=torch.uint8)
    sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(processes())]
    dist.all_gather(sizes, torch.tensor([len(own)]))
    longest = max(sizes).item()
    pickled = [torch.zeros(longest, dtype=torch.uint8) for _ in sizes]
    dist.all_gather(pickled, F.pad(own, (0, longest - len(own))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of PyTorch 2.4, at its own unpickling
        return [
            pickle.loads(bytes(data[:size].tolist()))
            for data, size in zip(pickled, sizes, strict=True)
        ]


def by_first_process(function):
    """Let the first process alone run a function, one that writes files, say.

    The others wait for it, and all get what it returned. The function itself must not need the
    others: they would not answer.
    """

    @functools.wraps(function)
    def run(*arguments):
        """The function in the first process, None in the others; the first's result in all."""
        return gather(function(*arguments) if rank() == 0 else None)[0]

    return run
