"""Where the noise of weights comes from: a generator on the weights' own device."""

from __future__ import annotations

import hashlib
from typing import Any

import torch


def noise_source(generator: torch.Generator, device: torch.device) -> torch.Generator:
    """Return ``generator`` if it lies on ``device``, else a new one there that it seeds.

    Normals that are drawn elsewhere and copied cost far more than the step that uses them
    (a second for 300 million weights on a CPU), and every copy waits for the device. The
    generators of different devices give different numbers.
    """
    if generator.device == device:
        return generator
    seed = torch.randint(2**63 - 1, (), generator=generator, device=generator.device)
    return torch.Generator(device).manual_seed(int(seed))


def noise_state(generator: torch.Generator) -> dict[str, Any]:
    """Return the state of a generator, a tensor on the CPU, and of which kind of device it is."""
    return {"device": generator.device.type, "state": generator.get_state()}


def restore_noise(generator: torch.Generator, saved: dict[str, Any]) -> None:
    """Restore what :func:`noise_state` returned.

    On the same kind of device the noise goes on exactly; on another it is different, but the same
    each time.
    """
    state = saved["state"].cpu()
    if saved["device"] == generator.device.type:
        generator.set_state(state)
        return
    digest = hashlib.sha256(bytes(state.tolist())).digest()
    generator.manual_seed(int.from_bytes(digest[:7]))
