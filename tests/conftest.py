"""What pytest asks for: options, marks, the order of the tests. The fixtures are in common.py."""

import os
import pathlib
import signal
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

# With -n, each worker computes with one thread, and so do the processes that it starts.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before PyTorch reads it


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also run the tests that take minutes")
    parser.addoption("--rewrite", action="store_true", help="write tests/transcripts anew")


def pytest_configure(config):
    # What a shell starts in the background ignores Ctrl-C, and our children would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "slow: takes minutes; runs only with --slow")
    if not getattr(config.option, "numprocesses", None) or hasattr(config, "workerinput"):
        config.pluginmanager.import_plugin("common")  # needs PyTorch, which takes seconds
    # With -n, a file stays in one process, which then prepares what its tests share once.
    if getattr(config.option, "dist", "no") == "load":
        config.option.dist, config.option.loadscopereorder = "loadfile", False


# They begin with the files that take longest, so that all processes end at about the same time.
LONGEST = (
    *("parallel", "text_file", "resuming", "hostile", "inference", "training", "transcripts"),
    *("page", "crashes", "bulk", "terminal", "wiring", "family", "decoding", "pages", "streams"),
)


def pytest_collection_modifyitems(config, items):
    order = {f"test_{name}.py": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))
    if not config.getoption("--slow"):
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="slow: runs with --slow"))
