"""The same step captured once as a CUDA graph and replayed: one launch where eager mode makes thousands."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch

from longtail.data import Batch
from longtail.nets import Queue
from longtail.step import Step

WARMUP_STEPS = 3  # eager steps before the capture: they make lazily built state (momentum buffers, cuDNN plans)


class GraphStep(Step):
    """A `Step` over buffers at fixed addresses: captured after a few eager steps on a GPU, eager elsewhere.

    If the capture fails, training goes on in eager mode after one warning that says why.
    """

    def __init__(self, *args):
        super().__init__(*args)
        self.graph: torch.cuda.CUDAGraph | None = None
        self.buffers: list[Batch] = []
        self.is_eager, self.warmup = self.lr.device.type != "cuda", WARMUP_STEPS
        # one stream for warm-up and capture: cuBLAS keeps a workspace for each stream it has seen
        self.stream = None if self.is_eager else torch.cuda.Stream(self.lr.device)

    def run(self, batches: Sequence[Batch]) -> None:
        """Run the step on the batches: eagerly at first, then by replaying the graph."""
        self.copy_to_buffers(batches)
        if self.graph is None and not self.is_eager and not self.warmup:
            self.capture()
        if self.graph is not None:
            self.graph.replay()
            return
        self.warmup = max(self.warmup - 1, 0)
        self.run_on_side_stream(super().run)

    def copy_to_buffers(self, batches: Sequence[Batch]) -> None:
        """Copy the batches to the addresses that the graph reads."""
        if not self.buffers:
            self.buffers = [
                replace(b, views=[v.clone() for v in b.views], y=b.y.clone(), index=b.index.clone()) for b in batches
            ]
            return
        for buffer, batch in zip(self.buffers, batches, strict=True):
            for to, view in zip(buffer.views, batch.views, strict=True):
                to.copy_(view, non_blocking=True)
            buffer.y.copy_(batch.y, non_blocking=True)
            buffer.index.copy_(batch.index, non_blocking=True)

    def run_on_side_stream(self, run: Callable[[Sequence[Batch]], None]) -> None:
        """Run an eager step; on a GPU on the side stream, since a capture requires its warm-up off the default stream."""
        if self.stream is None or self.is_eager:
            run(self.buffers)
            return
        current = torch.cuda.current_stream()
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            run(self.buffers)
        current.wait_stream(self.stream)

    def capture(self) -> None:
        """Record one step as a graph; nothing is computed yet."""
        graph = torch.cuda.CUDAGraph()
        self.optimizer.zero_grad(set_to_none=True)  # so that the graph allocates the gradients in its own pool
        try:
            # thread_local: another thread may pin memory for the next batch meanwhile
            with (
                restore_after_failed_capture(),
                torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"),
            ):
                super().run(self.buffers)
        except RuntimeError as error:
            self.is_eager = True
            why = error.__context__ or error  # ending a broken capture raises a second error, which hides the first
            for module in self.method.modules():
                if isinstance(module, Queue):
                    module.held.clear()  # keys of a batch that was never computed
            warnings.warn(
                f"the step runs without a CUDA graph, which is slower: {str(why).splitlines()[0]}", stacklevel=2
            )
            return
        self.graph = graph


@contextmanager
def restore_after_failed_capture() -> Iterator[None]:
    """Restore the stream and the random generator after a broken capture, which torch 2.11 leaves in capture mode."""
    current = torch.cuda.current_stream()
    generator = torch.cuda.default_generators[current.device_index]
    state = generator.clone_state()
    try:
        yield
    except RuntimeError:
        torch.cuda.set_stream(current)
        generator.graphsafe_set_state(state)
        raise
