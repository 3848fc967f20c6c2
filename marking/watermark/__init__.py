"""Watermark: a keyed pattern in the pixels of a clip, which survives copies without metadata.

Spread spectrum (Cox et al., 1997, doi:10.1109/83.650120): thousands of frequencies of the picture
each get a sign that only the secret's holder can compute, far below what is seen. Half of them say
"made by this server", the other half say which clip it is.
"""

from marking.watermark.detect import Detection, detect
from marking.watermark.embed import mark

__all__ = ["Detection", "detect", "mark"]
