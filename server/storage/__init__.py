"""Storage of the server: records, video files, staged encoders, cached clips, the lock."""
