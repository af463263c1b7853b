"""Take the picture of the report that README.md shows: `python docs/site/picture.py [REPORT]`.

REPORT is the page of the demo (`make demo`), which is the default. Needs Chromium, by the name `chromium`,
`chromium-browser` or `google-chrome`. The picture is docs/report.png: the beginning of the page.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "build" / "runs" / "tiny" / "report" / "report.html"
PICTURE = ROOT / "docs" / "report.png"
SIZE = (1200, 1350)  # pixels
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


def take(report: Path, picture: Path) -> None:
    """Write what a browser shows of the top of `report`. Raises SystemExit without report or browser."""
    if not report.is_file():
        raise SystemExit(f"no report {report}; make it with `make demo`, or name another")
    program = next((found for name in PROGRAMS if (found := shutil.which(name)) is not None), None)
    if program is None:
        raise SystemExit(f"none of {', '.join(PROGRAMS)} is installed; install one")
    with tempfile.TemporaryDirectory() as profile:
        command = [
            program, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            f"--user-data-dir={profile}", f"--window-size={SIZE[0]},{SIZE[1]}",
            f"--screenshot={picture.absolute()}", report.absolute().as_uri(),
        ]  # fmt: skip
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL, timeout=120)


if __name__ == "__main__":
    take(Path(sys.argv[1]) if len(sys.argv) > 1 else REPORT, PICTURE)
