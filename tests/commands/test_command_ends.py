"""The installed command: what it says arrives, its exit code counts, and what others registered for the end is done."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def ended(*arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
    script = f"import sys\nsys.argv = ['afterwatch', *{list(arguments)!r}]\n{before}\nfrom afterwatch.entry import run\nrun()\n"
    return subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--help",), 0, "review them by day"),
        (("nights",), 2, "nights"),
        (("status", "--site", "no-such-folder"), 2, "is no workspace"),
    ],
)
def test_the_exit_code_and_all_words_arrive(arguments: tuple[str, ...], code: int, said: str) -> None:
    done = ended(*arguments)
    assert done.returncode == code
    assert said in done.stdout + done.stderr


def test_an_error_that_nobody_expected_ends_in_1_with_its_traceback() -> None:
    broken = "import afterwatch.__main__ as command\ndef fail(): raise RuntimeError('unexpected')\ncommand.main = fail"
    done = ended(before=broken)
    assert done.returncode == 1 and "RuntimeError: unexpected" in done.stderr


def test_what_is_registered_for_the_end_while_a_verb_runs_is_done() -> None:
    tidied = (
        "import atexit, afterwatch.__main__ as command\n"
        "command.main = lambda: (atexit.register(print, 'tidied'), sys.exit(0))"
    )
    done = ended(before=tidied)
    assert (done.returncode, done.stdout) == (0, "tidied\n")
