"""Where figures were computed: versions, machine, threads."""

from __future__ import annotations

import datetime
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tsbnn import __version__

_LIBRARIES = (
    "torch",
    "gluonts",
    "lightning",
    "numpy",
    "pandas",
    "properscoring",
    "numba",
    "matplotlib",
)


def environment() -> dict[str, str]:
    """Versions, machine and time, as text by name."""
    import torch

    found = {"tsbnn": __version__, "Python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    found["system"] = f"{platform.system()} {platform.machine()}"
    found["processor"] = f"{_processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} used"
    if torch.cuda.is_available():
        found["GPU"] = torch.cuda.get_device_name()
    found["written"] = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    return found


def _processor() -> str:
    """The processor's name; what ``platform`` tells where /proc does not."""
    table = Path("/proc/cpuinfo")
    if table.exists():
        for line in table.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"
