"""The same step captured once as a CUDA graph and replayed: one launch where eager mode makes thousands."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch

from longtail.data import Batch
from longtail.nets import Queue
from longtail.step import Step

WARMUP_STEPS = 3  # eager steps before the capture, so that lazily made state (momentum buffers, cuDNN plans) is there


class GraphStep(Step):
    """A `Step` over buffers of fixed addresses; on a GPU it is captured after a few eager steps, elsewhere it stays eager.

    If the capture fails, training goes on in eager mode after one warning that says why.
    """

    def __init__(self, *args):
        super().__init__(*args)
        self.graph: torch.cuda.CUDAGraph | None = None
        self.held: list[Batch] = []
        self.eager, self.warm = self.lr.device.type != "cuda", WARMUP_STEPS
        self.side = None if self.eager else torch.cuda.Stream(self.lr.device)  # its own: cuBLAS keeps memory for each

    def run(self, batches: Sequence[Batch]) -> None:
        self.hold(batches)
        if self.graph is None and not self.eager and not self.warm:
            self.capture()
        if self.graph is not None:
            self.graph.replay()
            return
        self.warm = max(self.warm - 1, 0)
        self.apart(super().run)

    def hold(self, batches: Sequence[Batch]) -> None:
        """Copy the batches to where the graph reads them."""
        if not self.held:
            self.held = [
                replace(b, views=[v.clone() for v in b.views], y=b.y.clone(), index=b.index.clone()) for b in batches
            ]
            return
        for held, batch in zip(self.held, batches, strict=True):
            for to, view in zip(held.views, batch.views, strict=True):
                to.copy_(view, non_blocking=True)
            held.y.copy_(batch.y, non_blocking=True)
            held.index.copy_(batch.index, non_blocking=True)

    def apart(self, run) -> None:
        """Run an eager step, on a GPU away from the default stream, as a capture wants its warm-up."""
        if self.eager:
            run(self.held)
            return
        here = torch.cuda.current_stream()
        self.side.wait_stream(here)
        with torch.cuda.stream(self.side):
            run(self.held)
        here.wait_stream(self.side)

    def capture(self) -> None:
        """Record one step; nothing is computed yet."""
        graph = torch.cuda.CUDAGraph()
        self.optimizer.zero_grad(set_to_none=True)
        try:
            # by thread: others, which pin memory for the next batch, may go on
            with (
                restore_after_failed_capture(),
                torch.cuda.graph(graph, stream=self.side, capture_error_mode="thread_local"),
            ):
                super().run(self.held)
        except RuntimeError as error:
            self.eager = True
            why = error.__context__ or error  # the end of a broken capture raises once more
            for part in self.method.modules():
                if isinstance(part, Queue):
                    part.held.clear()  # keys of a batch that was never computed
            warnings.warn(
                f"the step runs without a CUDA graph, which is slower: {str(why).splitlines()[0]}", stacklevel=2
            )
            return
        self.graph = graph


@contextmanager
def restore_after_failed_capture() -> Iterator[None]:
    """Take back what a broken capture leaves behind in torch 2.11: its stream, and random numbers that wait for its end."""
    here = torch.cuda.current_stream()
    generator = torch.cuda.default_generators[here.device_index]
    spare = generator.clone_state()
    try:
        yield
    except RuntimeError:
        torch.cuda.set_stream(here)
        generator.graphsafe_set_state(spare)
        raise
