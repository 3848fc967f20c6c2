"""The denoiser's cross-attention, where text enters it, and which ESD-x and UCE edit."""

from __future__ import annotations

from torch import Tensor

from video.models.backbone import Backbone


def cross_attention(backbone: Backbone) -> dict[str, Tensor]:
    """Return the image denoiser's cross-attention parameters (`attn2` in diffusers), by name.

    The video denoiser has them under the same names. The `attn2` of its motion modules is not
    among them: it attends over frames and never sees the text.
    """
    parameters = backbone.denoiser(is_video=False).network.named_parameters()
    return {name: tensor.detach() for name, tensor in parameters if ".attn2." in name}
