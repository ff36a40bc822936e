"""Several threads that tag."""

import concurrent.futures

import torch
from tqdm import tqdm


def in_threads(function, items, limit, description=None):
    """Apply a function to each item, in threads that share the cores that PyTorch uses.

    OMP_NUM_THREADS and torch.set_num_threads say how many cores these are.

    :param items: a list; they are begun in its order
    :param limit: the most threads; all wait for Python's lock, and each holds an item's tensors
    :param description: shown before a progress bar; None shows no bar
    :return: list of what the function returned
    """
    cores = torch.get_num_threads()
    count = max(1, min(cores, limit, len(items)))
    share = dict(initializer=torch.set_num_threads, initargs=(cores // count,))
    hidden = True if description is None else None  # None: unless stderr is a terminal
    options = dict(desc=description, total=len(items), disable=hidden, leave=False, mininterval=0.5)
    if count == 1:  # such as on a GPU: a new thread might not use the same one
        return list(tqdm(map(function, items), **options))
    pool = concurrent.futures.ThreadPoolExecutor(count, **share)
    try:
        return list(tqdm(pool.map(function, items), **options))
    finally:
        pool.shutdown(cancel_futures=True)  # after an error or Ctrl-C, begin no more
        torch.set_num_threads(cores)  # else threads that begin later would have as few
