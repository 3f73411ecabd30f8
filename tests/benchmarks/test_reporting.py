"""The benchmark of reports does what it says, in small, without torch."""

import subprocess
import sys

CODE = """
import sys, tempfile
from pathlib import Path
from tests.benchmarks.reporting import measured
with tempfile.TemporaryDirectory() as folder:
    found = measured(Path(folder), methods=3, seeds=2, prompts=40)
    report = (Path(folder) / "report.md").read_text()
assert found["rows"] == 3 * 2 * 40 * 6 + 2 * 2 * 40 * 4, found
assert "method_02 " in report and "two judge" in report
assert "longer_wins" in report and "Read the responses" in report
assert "leaves nothing out" not in report
sys.exit(3 if "torch" in sys.modules else 0)
"""


def test_a_large_report_in_small_without_torch() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
