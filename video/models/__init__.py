"""Models: backbones, denoisers and their parts, independent of the model family."""
