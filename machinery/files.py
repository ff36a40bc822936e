"""Files that a run writes: whole or not at all, never another's, one run at a time."""

import contextlib
import errno
import itertools
import os
import secrets
import stat
import sys

from machinery.errors import InputError
from machinery.processes import by_first_process

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
    import msvcrt


def replace(path, content, check=lambda path: None):
    """Write a file anew.

    A crash at any moment leaves either the old file or the new one, both whole: the new one is
    written next to the old, brought to the disk, and then takes its name in one step. A link is
    followed: the file that it names is replaced.

    :param content: bytes
    :param check: function of a path that reads what was written, before it takes its name
    :raises InputError: `check` refuses it; the old file is intact
    :raises OSError: the file cannot be written; the old one is intact
    """
    real = os.path.realpath(path)
    temporary = _new_name(real)
    try:
        os.makedirs(os.path.dirname(real), exist_ok=True)
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        check(temporary)
        os.replace(temporary, real)
    except InputError as error:
        raise InputError(f"{str(error).replace(temporary, str(path))}; it was not saved") from None
    except OSError as error:  # it may name no file, or the temporary one
        reason = f"{error.strerror}; it was not saved, and a file of this name is as it was"
        raise OSError(error.errno, reason, str(path)) from None
    finally:
        if os.path.exists(temporary):  # the disk was full, say: leave no half of a file
            os.remove(temporary)


@by_first_process
def check_can_save(path):
    """Find out before hours of work whether `replace` can write to `path`.

    :raises InputError, OSError: it cannot
    """
    real = os.path.realpath(path)
    if os.path.exists(real) and not os.path.isfile(real):
        raise InputError(f"{path}: expected a file or no file yet, found a folder or a device")
    os.makedirs(os.path.dirname(real), exist_ok=True)
    temporary = _new_name(real)
    open(temporary, "xb").close()
    os.remove(temporary)


def check_regular(path):
    """:raises InputError: it is a device or a pipe, which might wait for ever, or be replaced"""
    if os.path.exists(path) and not os.path.isdir(path) and not os.path.isfile(path):
        raise InputError(f"{path}: expected a file, found a device or a pipe")


def _new_name(path):
    """A name next to `path` that no file has, so that what is written to it harms nobody's."""
    return f"{path}.{secrets.token_hex(4)}.tmp"


def history_file(path):
    """The name of the table that belongs to a checkpoint: its name, but .csv."""
    return os.path.splitext(path)[0] + ".csv"


def files_written(constants):
    """The paths of the files that a run writes; none if it only scores a checkpoint.

    :raises InputError: one of them is another of them, or a file that is read
    :raises OSError: one cannot be written
    """
    if constants.epochs == 0:
        return []
    several = constants.train_file, constants.text_file
    read = [path for paths in several for path in as_list(paths)]
    read += [constants.val_file, constants.test_file, constants.emb_file]
    seen = {_real(path): "a file to read" for path in read if path is not None}
    written = dict(
        best_file=constants.best_file,
        last_file=constants.last_file,
        history=history_file(constants.last_file),
    )
    if constants.text_file is not None:
        written["text_model_file"] = constants.text_model_file
    locks = {f"lock of {name}": lock_file(path) for name, path in written.items()}
    for name, path in (written | locks).items():
        if (real := _real(path)) in seen:
            raise InputError(f"{name}: expected a file of its own, found {path}, {seen[real]}")
        seen[real] = f"the {name}"
        if name in written:
            check_can_save(path)
    # A finished text_model_file serves many runs at once: who writes to it reserves it.
    return [path for name, path in written.items() if name != "text_model_file"]


def as_list(paths):
    """The paths of a constant that may be a path, a list of them, or None."""
    if paths is None:
        return []
    return paths if isinstance(paths, list) else [paths]


def _real(path):
    """The same string for all names of a file: of links, relative paths, on Windows other cases."""
    return os.path.normcase(os.path.realpath(path))


def same_file(path, other):
    """Whether two paths name one file, which need not exist yet: by links of any kind, too."""
    exist = os.path.exists(path) and os.path.exists(other)
    return _real(path) == _real(other) or (exist and os.path.samefile(path, other))


def is_stdout(file):
    """Whether stdout is this file, a path or a stream; a terminal or a pipe is none."""
    try:
        ours = os.fstat(sys.stdout.fileno())
        status = os.stat(file) if isinstance(file, str) else os.fstat(file.fileno())
    except (AttributeError, OSError, ValueError):  # in a notebook; no such file
        return False
    return stat.S_ISREG(ours.st_mode) and os.path.samestat(ours, status)


def lock_file(path):
    """The name of the empty file that shows other runs that `path` is in use."""
    return f"{os.path.realpath(path)}.lock"


@contextlib.contextmanager
def reserved(*paths):
    """Keep other runs from writing to the same files for as long as the block lasts.

    The operating system lets go of the locks when the process ends, even if it is killed.

    :raises InputError: another run writes to one of them
    """
    with contextlib.ExitStack() as stack:
        _reserve(stack, paths)
        yield


@by_first_process
def _reserve(stack, paths):
    """Lock every path, until `stack` is closed."""
    for path in paths:
        lock = lock_file(path)
        file = stack.enter_context(open(lock, "ab"))
        try:
            _lock(file)
            # Between opening and locking, its owner may have removed the file.
            ours = os.path.exists(lock) and os.path.samestat(os.fstat(file.fileno()), os.stat(lock))
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
                continue  # a file system without locks
            ours = False
        if not ours:
            raise InputError(
                f"{path}: expected a file that no other run writes to, found one in use; "
                "wait until that run ends, or choose another name"
            )
        if os.path.getsize(lock) == 0:  # or it is someone's data
            stack.callback(_remove, lock)


def _lock(file):
    """:raises OSError: another process, or another file object, has locked the file"""
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)


def _remove(lock):
    """Remove a lock's file while it is still locked; Windows refuses, and it stays."""
    with contextlib.suppress(OSError):
        os.remove(lock)


def keep_aside(*paths):
    """Rename files that belong together, by the first number that is free: stem.1.pt.

    A link is followed: the file that it names is renamed.

    :return: {path: its new name}, those that exist
    """
    paths = filter(os.path.exists, paths)
    files = {path: os.path.realpath(path) if os.path.islink(path) else path for path in paths}
    for number in itertools.count(1):
        kept = {path: f".{number}".join(os.path.splitext(real)) for path, real in files.items()}
        if not any(map(os.path.lexists, kept.values())):
            break
    for path, new in kept.items():
        os.rename(files[path], new)
    return kept
