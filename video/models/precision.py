"""Choice of the device, and of the denoiser's precision for it."""

from __future__ import annotations

import torch


def best_device() -> str:
    """Return "cuda" if torch can use a GPU by CUDA or ROCm, otherwise "cpu".

    Apple's GPUs ("mps") are never chosen: no model has been run on one.
    """
    return "cuda" if torch.cuda.is_available() else "cpu"


def best_dtype(device: str | torch.device) -> torch.dtype:
    """Return bfloat16 if the device multiplies it natively, otherwise float32.

    On a CPU with AVX-512 or AMX for bfloat16, a step of the built-in model takes about 60 % of the
    time. On a CPU without them, every product would be emulated.
    """
    kind = torch.device(device).type
    if kind == "cpu":
        features = torch.cpu.get_capabilities()
        native = bool(features.get("avx512_bf16") or features.get("amx_bf16"))
    else:
        native = kind == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if native else torch.float32
