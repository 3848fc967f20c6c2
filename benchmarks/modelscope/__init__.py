"""A second video model over the built-in one's text encoder, its denoiser trained apart.

Under AnimateDiff the video model's spatial layers are the image twin's own, so that an encoder made
on the twin meets the same layers again. ModelScope's class shares nothing with the twin but the
text encoder: only with such a model can it be seen whether forgetting is carried over.
"""
