"""In which precision the denoiser is best computed."""

from __future__ import annotations

import torch


def best_dtype(device: str | torch.device) -> torch.dtype:
    """bfloat16 where the device multiplies it natively, float32 elsewhere.

    On a CPU with AVX-512 or AMX for bfloat16 a step of the built-in model takes about six tenths of
    the time; on a CPU without, every product would be emulated.
    """
    kind = torch.device(device).type
    if kind == "cpu":
        able = torch.cpu.get_capabilities()
        native = bool(able.get("avx512_bf16") or able.get("amx_bf16"))
    else:
        native = kind == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if native else torch.float32
