"""The commands that measure: do they still run?"""

import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments, expected",
    [
        (
            ["benchmark.py", "--sentences", "160", "--batch", "10"],
            "batches/s, decoding, N 32, L 50, m 50",
        ),
        (["benchmark.py", "--sentences", "160", "--batch", "10", "--processes"], "1 process"),
        (["benchmark.py", "--sentences", "400", "--profile"], "nn_rnn"),  # oneDNN or cuDNN
        (["benchmark.py", "--sentences", "60", "--memory"], "10 times the corpus takes"),
    ],
)
def test_benchmark(root, arguments, expected):
    script, *rest = arguments
    command = [sys.executable, str(root / "tests" / "measure" / script), *rest]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert expected in result.stdout
