"""Where to compute, and in which precision."""

import os
import re

import torch

from machinery.errors import InputError
from machinery.processes import processes

CPUINFO = "/proc/cpuinfo"  # what a processor can do, on Linux


def default_device():
    """CUDA when there is one, else the CPU; of several processes, each has a GPU of its own."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ["LOCAL_RANK"]) if processes() > 1 else None)


def check_half_precision(device, wanted):
    """
    :raises InputError: bfloat16 is wanted, but the hardware has no instructions for it, and would
        only be slower
    """
    if wanted and not _has_bfloat16(device):
        raise InputError(
            "half_precision = True: expected a GPU or a processor with bfloat16 instructions "
            "(avx512_bf16 or amx_bf16), found none; set it to False"
        )


def _has_bfloat16(device):
    """Whether a device computes faster in bfloat16."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    try:
        with open(CPUINFO, encoding="utf-8") as file:
            return re.search(r"\b(avx512_bf16|amx_bf16|bf16)\b", file.read()) is not None
    except OSError:  # not Linux
        return False
