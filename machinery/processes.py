"""Several processes that train together.

torchrun starts them alike, and each has a number, its rank. All read the same files, build the same
model and take every step together; they differ only in the sentences that they compute and in the
random numbers that they draw. Losses, gradients and tags are brought together, so that all come to
the same decisions. Without torchrun there is one process, and nothing here has any effect.
"""

import atexit
import contextlib
import datetime
import functools
import hashlib
import itertools
import os
import pickle
import time
import warnings

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel

from machinery.errors import InputError, refusing_damage, visible

_RUNS = itertools.count()  # a script may call train.main more than once


@contextlib.contextmanager
def process_group():
    """Join the other processes that torchrun started; without torchrun, do nothing.

    Only the first process prints or shows bars. An error in any of them ends all, and only the
    first that fails says why.

    :raises InputError: there are fewer GPUs than processes, or another process was killed
    """
    if not _started_by_torchrun() or processes() > 1:
        yield
        return
    store, number, count = next(dist.rendezvous("env://"))
    store = dist.PrefixStore(f"run {next(_RUNS)}", store)  # no keys of an earlier run
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
    # A thread of gloo's may still hold the last tensors and wait for Python's lock to release them.
    # PyTorch 2.4 would end the group while it holds that lock, and wait for the thread forever.
    time.sleep(0.1)
    dist.destroy_process_group()  # not after an error: the others would fail before it is reported


def _started_by_torchrun():
    """Whether this is one of several processes that are to train together."""
    names = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"}
    return names <= os.environ.keys() and os.environ["WORLD_SIZE"] != "1" and dist.is_available()


@contextlib.contextmanager
def _silence():
    """Drop what is printed, to stdout and to stderr."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            yield


def _backend():
    """How the processes communicate: NCCL for tensors on a GPU, gloo for the rest.

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


def processes():
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank():
    """The number of this process, counted from 0."""
    return dist.get_rank() if processes() > 1 else 0


def replicated(model):
    """The model to train: with several processes, `backward` averages its gradients over them.

    Its parameters stay the model's own, with the same names in `model.state_dict()`.
    """
    return DistributedDataParallel(model) if processes() > 1 else model


def mean_of_processes(tensor):
    """The mean of a tensor over all processes, without gradient; all must ask for it."""
    if processes() == 1:
        return tensor
    total = tensor.detach().clone()
    dist.all_reduce(total)
    return total / processes()


def share_of_mean(count):
    """This process's count, divided by the mean of all counts: 1.0 if there is one process.

    The gradients of the processes are averaged. For this to be the gradient of the mean over all
    sentences, each process multiplies its own mean by its share:

        1/2 (share_1 mean_1 + share_2 mean_2) = (sum_1 + sum_2) / (count_1 + count_2)

    :param count: () integer tensor
    """
    if processes() == 1:
        return 1.0
    return count / mean_of_processes(count).clamp(min=1 / processes())  # all are 0: so is the sum


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
    """Let only the first process run a function, such as one that writes files.

    The others wait for it, and all get what it returned. The function must not need the others:
    they would not answer.
    """

    @functools.wraps(function)
    def run(*arguments):
        """The function in the first process, None in the others; the first's result in all."""
        return gather(function(*arguments) if rank() == 0 else None)[0]

    return run


def rng_states():
    """The states of this process's random number generators, which dropout draws from."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def set_rng_states(path, states, seed, epoch):
    """Restore the states of the random number generators.

    Generators that have nothing to go on from, as with another number of processes or of GPUs,
    begin with numbers that no other process and no earlier epoch had.

    :param path: where the states come from
    :param states: what rng_states gave in each process
    :raises InputError: they are no such states
    """
    digest = hashlib.sha256(f"{seed} {epoch} {rank()}".encode()).digest()
    torch.manual_seed(int.from_bytes(digest[:4], "big"))
    if len(states) != processes():
        return
    with refusing_damage(path):
        own = states[rank()]
        torch.set_rng_state(own["cpu"])
        if torch.cuda.is_available() and len(own["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(own["cuda"])
