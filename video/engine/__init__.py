"""Engine: the loop that owns the device, its scheduler, tasks and tickets."""
