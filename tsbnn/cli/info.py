"""``tsbnn info``: versions, device and threads, for reports of errors and of results."""

from __future__ import annotations

from typing import Any

from tsbnn.cli import options as o
from tsbnn.cli.datasets import print_pairs
from tsbnn.cli.output import print_json
from tsbnn.cli.progress import stages


def info(as_json: o.Json = False, quiet: o.Quiet = False, debug: o.Debug = False) -> None:
    """Show versions, device, threads, and where data lie."""
    with stages(quiet) as stage:
        stage("loading libraries")
        import torch

        from tsbnn.datasets.locations import DATA_DIR_VARIABLE, cache_folder
        from tsbnn.evaluation.environment import environment

        found: dict[str, Any] = environment()
        found.pop("written")
    import os

    has_gpu = torch.cuda.is_available()
    found["device"] = f"cuda ({torch.cuda.get_device_name()})" if has_gpu else "cpu"
    found["threads"] = torch.get_num_threads()
    found["downloads"] = str(cache_folder())
    found[DATA_DIR_VARIABLE] = os.environ.get(DATA_DIR_VARIABLE)
    if as_json:
        print_json(found)
    else:
        print_pairs({name: "not set" if v is None else v for name, v in found.items()})
