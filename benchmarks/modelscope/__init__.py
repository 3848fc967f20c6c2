"""A second video model: the built-in model's text encoder, with a denoiser trained apart.

AnimateDiff's spatial layers are the image twin's, so an encoder made on the twin meets the same
layers in the video model. ModelScope's class shares only the text encoder with the twin: such a
model shows if forgetting transfers.
"""
