"""The memory of the simulated GPU: loaded checkpoints, memory for sampling, and out-of-memory errors."""

from __future__ import annotations

from comfyui_simulator.errors import OutOfGpuMemoryError

CHECKPOINT_MB = 6_500
"""Memory that a loaded checkpoint needs, in MB; only the last one used stays on the GPU."""

MB_PER_MEGAPIXEL = 1_500
"""Memory that sampling needs per million pixels of the batch, in MB."""

MEGABYTE = 1024 * 1024


class Gpu:
    """A GPU with a fixed memory; sampling needs the checkpoint plus a share per pixel of the batch."""

    def __init__(self, total_mb: int) -> None:
        self.total_mb = total_mb
        self._checkpoints: set[str] = set()
        self._hoards: dict[int, bool] = {}

    @property
    def free_mb(self) -> int:
        """Memory that is free between steps, in MB."""
        return max(0, self.total_mb - (CHECKPOINT_MB if self._checkpoints else 0))

    def load(self, checkpoint: str) -> bool:
        """Load a checkpoint; return whether that takes time because it was not loaded before."""
        is_new = checkpoint not in self._checkpoints
        self._checkpoints.add(checkpoint)
        return is_new

    def unload(self) -> None:
        """Forget all checkpoints, as /free and out-of-memory errors do."""
        self._checkpoints.clear()

    def hoard(self, salt: int) -> None:
        """Fill the memory and raise `OutOfGpuMemoryError`; after `release`, do nothing."""
        if self._hoards.setdefault(salt, True):
            raise OutOfGpuMemoryError("Allocation on device 0 would exceed allowed memory. (out of memory)")

    def release(self) -> None:
        """Release all hoarded memory, as /free does and out-of-memory errors do not."""
        self._hoards = dict.fromkeys(self._hoards, False)

    def reserve_for_sampling(self, width: int, height: int, batch_size: int) -> None:
        """Raise `OutOfGpuMemoryError` if sampling a batch of this size (in pixels) does not fit."""
        needed_mb = CHECKPOINT_MB + width * height * batch_size / 1_000_000 * MB_PER_MEGAPIXEL
        if needed_mb > self.total_mb:
            raise OutOfGpuMemoryError(
                "Allocation on device 0 would exceed allowed memory. (out of memory)\n"
                f"Requested               : {needed_mb / 1024:.2f} GiB\n"
                f"Device limit            : {self.total_mb / 1024:.2f} GiB"
            )
