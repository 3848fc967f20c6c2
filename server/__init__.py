"""What a client sees: the HTTP API, its schemas and error shape, keys, and the jobs behind it.

Importing this package does not import torch; models load in the thread that owns the device.
"""
