"""Where text enters the denoiser: its cross-attention, which ESD-x and UCE edit."""

from __future__ import annotations

from torch import Tensor

from video.models.backbone import Backbone


def cross_attention(backbone: Backbone) -> dict[str, Tensor]:
    """The parameters of the image denoiser's cross-attention (diffusers calls it `attn2`), by name.

    The video denoiser has them under the same names. It has more of that name: in its motion
    modules, where `attn2` is attention over frames and never sees the text.
    """
    parameters = backbone.denoiser(is_video=False).network.named_parameters()
    return {name: tensor.detach() for name, tensor in parameters if ".attn2." in name}
