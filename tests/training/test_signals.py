"""Signals that end work in good order."""

import signal
import subprocess
import sys

import pytest

from recurra.errors import Interrupted
from recurra.training.signals import interrupted_by_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_block_with_its_number_and_gives_the_handlers_back(number):
    before = signal.getsignal(number)
    with pytest.raises(Interrupted, match="stopped; go on") as caught, interrupted_by_signals("stopped; go on"):
        try:
            signal.raise_signal(number)
        except Exception:  # noqa: BLE001 - what libraries do on the way
            pytest.fail("it was swallowed")
    assert caught.value.exit_code == 128 + number
    assert signal.getsignal(number) is before


def test_a_signal_in_the_middle_of_an_import_is_the_exit_code_of_the_module_that_runs(tmp_path):
    """Where it passes an `exec` of text, as the standard library has it for named tuples and data classes."""
    (tmp_path / "stopped.py").write_text(
        "import signal, sys\n"
        "from recurra.errors import Interrupted\n"
        "from recurra.training.signals import interrupted_by_signals\n"
        "try:\n"
        "    with interrupted_by_signals('stopped'):\n"
        "        exec('signal.raise_signal(signal.SIGTERM)')\n"
        "except Interrupted as error:\n"
        "    sys.exit(error.exit_code)\n"
    )
    done = subprocess.run([sys.executable, "-m", "stopped"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (143, "")
