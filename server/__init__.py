"""The server: the HTTP API with its schemas, errors and keys, and the jobs behind it.

Importing this package does not import torch. The models load in the thread that owns the device.
"""
