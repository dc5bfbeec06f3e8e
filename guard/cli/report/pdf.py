"""The page as a PDF, printed by an installed Chromium without a window."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
SECONDS = 120


class NoBrowser(Exception):
    """There is no browser that prints, or it did not; the text says which of the two."""


def browser() -> str:
    """Return the browser that prints. Raises NoBrowser."""
    for name in BROWSERS:
        found = shutil.which(name)
        if found is not None:
            return found
    looked = ", ".join(BROWSERS)
    raise NoBrowser(f"no browser to print with ({looked}); allowed: one of these, or the page printed by any other")


def print_page(page: Path, out: Path, program: str) -> None:
    """Print ``page`` into ``out``, which is written whole or not at all. Raises NoBrowser, and OSError."""
    with tempfile.TemporaryDirectory(prefix="guard-report-") as folder:
        draft = Path(folder) / "report.pdf"
        command = [
            program,
            "--headless",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-extensions",
            "--disable-background-networking",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--no-pdf-header-footer",
            f"--user-data-dir={folder}/profile",
            f"--print-to-pdf={draft}",
        ]
        if os.geteuid() == 0:
            command.append(
                "--no-sandbox"
            )  # its sandbox does not work for root; the page has no script and loads nothing
        try:
            done = subprocess.run(  # noqa: S603 - a browser found on PATH, an argument vector
                [*command, page.resolve().as_uri()], capture_output=True, check=False, timeout=SECONDS
            )
        except subprocess.TimeoutExpired:
            raise NoBrowser(f"{program} did not print the page within {SECONDS} s") from None
        if done.returncode or not draft.is_file():
            said = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["nothing"]
            raise NoBrowser(f"{program} did not print the page (exit code {done.returncode}); it says: {said[0]}")
        content = draft.read_bytes()
    from guard.cli.usage.output import whole_file

    with whole_file(out) as file:
        file.write(content)
