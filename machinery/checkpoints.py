"""Checkpoint files: plain data, written whole, read without running any code in them."""

import csv
import io
import warnings
import zipfile

import torch

from machinery.errors import refusing_damage, visible
from machinery.files import check_regular, replace
from machinery.processes import by_first_process


@by_first_process
def save_checkpoint(path, state, check=lambda path: None):
    """Write a dict of plain data (numbers, strings, lists, dicts, tensors) to `path`.

    :param check: function of a path that loads what was written before it takes the name `path`
    :raises InputError: `check` refuses it; the old file is intact
    :raises OSError: the file cannot be written; the old one is intact
    """
    content = io.BytesIO()
    torch.save(state, content)
    replace(path, content.getbuffer(), check)


@by_first_process
def save_history(path, history, names):
    """Write a row for every epoch as CSV, with those columns of `names` that it has.

    The checkpoint holds the same. If the table cannot be written, because a spreadsheet keeps it
    open, say, that is no reason to stop: a warning says it, and the next epoch tries again.

    :param history: list of a dict for every epoch
    """
    text = io.StringIO(newline="")
    columns = [name for name in names if any(name in entry for entry in history)]
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    try:
        replace(path, text.getvalue().encode())
    except OSError as error:
        print(f"Warning: {visible(error.filename)}: {error.strerror}")


def load_checkpoint(path):
    """Read what save_checkpoint wrote, to the CPU, wherever it was trained.

    :return: the dict
    :raises InputError: the file is damaged, or holds something else
    :raises OSError: the file cannot be read
    """
    check_regular(path)
    with open(path, "rb") as file, refusing_damage(path):
        _check_archive(file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the error that follows says enough
            # weights_only: plain data is read, code that a hostile file carries is never run.
            state = torch.load(file, map_location="cpu", weights_only=True)
        if type(state) is not dict:
            raise ValueError("it holds other data")
    return state


def _check_archive(file):
    """Refuse flipped bits, which torch.load would not notice.

    :param file: a zip archive, opened in binary mode; read from its beginning afterwards
    """
    with zipfile.ZipFile(file) as archive:
        if any(member.external_attr & 0x10 for member in archive.infolist()):
            raise zipfile.BadZipFile("it has folders, which torch.load reads as any bytes")
        if damaged := archive.testzip():
            raise zipfile.BadZipFile(f"wrong checksum of {damaged}")
    file.seek(0)
