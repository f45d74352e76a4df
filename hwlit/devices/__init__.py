"""One face for CPU, CUDA GPU, TPU and other devices: time, peak memory and energy, each with how.

A leaf: torch, psutil and the standard library, never Lightning. What a device cannot give is absent
with a reason. `selection.device_for` picks the class.
"""
