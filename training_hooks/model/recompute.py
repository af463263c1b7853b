"""Outputs of RMSNorm and of MLA's up-projections: not kept for backward, computed again (section 3.2.3).

A checkpoint around a piece of a model drops what lies inside the piece; here the memory is in outputs, kept
by the layers that read them. So a segment (a norm; MLA's way from its latents to queries, keys and values)
notes which tensors it made, and a layer that would keep one of them for backward keeps a note in its place:
the segment, and where in its output. The first to ask in backward makes the segment run again, once; that
run's graph then serves the segment's own backward and is let go. Nothing else runs twice: not attention, nor
experts, nor the router, whose loads are counted once.

The second run repeats the first under the same autocast, so losses and gradients are bit-equal with and
without; its weights' gradients wait where those of the first run would (`weight_gradients`). Under BF16
autocast every linear layer keeps a BF16 copy of an FP32 input; where the input came from a segment the cast
becomes a segment too, and the copy is not kept. In FP8 linear layers keep E4M3 of their own.

Still kept: the residual stream, the latents, attention's output, what experts and SwiGLU keep, and the
concatenation of MTP's two norms.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from corpusmill.training_hooks.model.mla import MultiHeadLatentAttention
from corpusmill.training_hooks.model.products import Linear
from corpusmill.training_hooks.model.rms_norm import RMSNorm
from corpusmill.training_hooks.model.weight_gradients import in_force, put_off

Compute = Callable[..., tuple[Tensor, ...]]


class _Note(NamedTuple):
    """Stands for a tensor in the storage of output `place` of `segment`."""

    segment: _Segment
    place: int
    size: torch.Size
    stride: tuple[int, ...]
    offset: int


class _Made(NamedTuple):
    """An output of a segment, while it lives."""

    output: weakref.ref[Tensor]
    version: int
    segment: _Segment
    place: int


class _Segment:
    """One run of `compute`: what it takes to run it again, and the second run while backward needs it."""

    def __init__(self, compute: Compute, inputs: Sequence[Tensor], pack: Callable[[Tensor], Any]) -> None:
        self.compute, self.device = compute, inputs[0].device.type
        self.low = torch.get_autocast_dtype(self.device)
        self.autocast = torch.is_autocast_enabled(self.device)
        self.kept: list[Any] | None = [pack(t.detach()) for t in inputs]
        self.versions = [t._version for t in inputs]
        self.differentiable = [t.requires_grad for t in inputs]
        self.later = in_force()
        self.second: tuple[list[Tensor], tuple[Tensor, ...]] | None = None

    def run(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        # No cache of cast weights: the first run is without a graph and must not lend its casts to others.
        with (
            torch.autocast(self.device, dtype=self.low, enabled=self.autocast, cache_enabled=False),
            put_off(self.later),
        ):
            return self.compute(*inputs)

    def again(self) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        """(leaves that stand for the inputs, outputs with a graph) of the second run."""
        if self.second is None:
            if self.kept is None:
                raise RuntimeError("backward ran through a recomputed part before: run forward again")
            for kept, version in zip(self.kept, self.versions, strict=True):
                if isinstance(kept, Tensor) and kept._version != version:
                    raise RuntimeError("an input of a recomputed part was changed in place before backward")
            leaves = [
                unpack(kept).detach().requires_grad_(needs)
                for kept, needs in zip(self.kept, self.differentiable, strict=True)
            ]
            with torch.enable_grad():
                self.second = leaves, self.run(leaves)
        return self.second

    def release(self) -> None:
        self.kept = self.second = None


class _RunSegment(torch.autograd.Function):
    """Inputs of the segment, then the parameters that it uses."""

    @staticmethod
    def forward(
        ctx: Any, segment: _Segment, n_inputs: int, parameters: list[Tensor], *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.segment, ctx.parameters = segment, parameters
        ctx.set_materialize_grads(False)
        return segment.run(tensors[:n_inputs])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        leaves, outputs = ctx.segment.again()
        tensors = [*leaves, *ctx.parameters]
        wanted = [t for t in tensors if t.requires_grad]
        reached = [(o, g) for o, g in zip(outputs, grads, strict=True) if g is not None and o.requires_grad]
        found = iter(
            torch.autograd.grad(
                [output for output, _ in reached], wanted, [grad for _, grad in reached], allow_unused=True
            )
            if reached
            else [None] * len(wanted)
        )
        result = [next(found) if t.requires_grad else None for t in tensors]
        ctx.segment.release()
        return None, None, None, *result


def unpack(kept: Any) -> Tensor:
    """What a layer asks for in backward: the tensor that was kept, or the one its note stands for."""
    if isinstance(kept, _Note):
        output = kept.segment.again()[1][kept.place].detach()
        return output.as_strided(kept.size, kept.stride, kept.offset)
    return cast(Tensor, kept)


class Recomputation(threading.local):
    """The segments of one model; in force while the model runs forward with gradients, in the thread that
    does: another may run backward meanwhile."""

    def __init__(self) -> None:
        self.hooks: torch.autograd.graph.saved_tensors_hooks | None = None
        self.made: dict[int, _Made] = {}
        self.watch: Callable[[Tensor], None] | None = None

    def enter(self, *_: Any) -> None:
        """Start to keep notes in the place of what segments make."""
        if torch.is_grad_enabled() and self.hooks is None:
            self.hooks = torch.autograd.graph.saved_tensors_hooks(self.pack, unpack)
            self.hooks.__enter__()

    def leave(self, *_: Any) -> None:
        """Stop, also after an error in the model."""
        if self.hooks is not None:
            self.hooks.__exit__()
            self.hooks = None
            self.made.clear()

    def find(self, tensor: Tensor) -> _Made | None:
        """The living, unchanged output in whose storage `tensor` lies. The address alone would not do: it is
        used again for other tensors once the output is released."""
        made = self.made.get(tensor.untyped_storage().data_ptr())
        output = made.output() if made is not None else None
        return made if made is not None and output is not None and output._version == made.version else None

    def pack(self, tensor: Tensor) -> Any:
        """What is kept for backward in the place of `tensor`."""
        made = self.find(tensor)
        if made is None:
            if self.watch is not None:
                self.watch(tensor)
            return tensor
        return _Note(
            made.segment, made.place, tensor.shape, tuple(tensor.stride()), int(tensor.storage_offset())
        )

    def segment(
        self, compute: Compute, inputs: Sequence[Tensor], parameters: Sequence[Tensor]
    ) -> tuple[Tensor, ...]:
        """compute(*inputs), which uses `parameters`; its outputs are not kept for backward."""
        if self.hooks is None or not torch.is_grad_enabled():
            return compute(*inputs)
        segment = _Segment(compute, inputs, self.pack)
        outputs: tuple[Tensor, ...] = _RunSegment.apply(  # type: ignore[no-untyped-call]
            segment, len(inputs), list(parameters), *inputs, *parameters
        )
        for place, output in enumerate(outputs):
            address = output.untyped_storage().data_ptr()
            if address:
                self.made[address] = _Made(weakref.ref(output), output._version, segment, place)
        return outputs

    def cast_input(self, module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        """Before a linear layer: the cast autocast would make, as a segment."""
        x = args[0]
        kind = x.device.type
        casts = self.hooks is not None and torch.is_autocast_enabled(kind) and x.dtype == torch.float32
        if type(module) is not Linear or not casts or self.find(x) is None:
            return None
        low = torch.get_autocast_dtype(kind)
        return self.segment(lambda y: (y.to(low),), [x], [])


class RecomputedRMSNorm(RMSNorm):
    """Stands in the place of an `RMSNorm` and has its weight, the same Parameter."""

    def __init__(self, plain: RMSNorm, recomputation: Recomputation) -> None:
        nn.Module.__init__(self)
        self.weight, self.eps = plain.weight, plain.eps
        self.recomputation = recomputation

    def forward(self, x: Tensor) -> Tensor:
        """As `RMSNorm`."""
        plain = super().forward
        return self.recomputation.segment(lambda y: (plain(y),), [x], [self.weight])[0]


class RecomputedAttention(MultiHeadLatentAttention):
    """Stands in the place of a `MultiHeadLatentAttention` and has its modules."""

    def __init__(self, plain: MultiHeadLatentAttention, recomputation: Recomputation) -> None:
        nn.Module.__init__(self)
        self.__dict__.update({k: v for k, v in plain.__dict__.items() if k not in self.__dict__})
        for name, module in plain.named_children():
            setattr(self, name, module)
        self.recomputation = recomputation

    def forward(self, x_BTD: Tensor, cos_TP: Tensor, sin_TP: Tensor) -> Tensor:
        """As `MultiHeadLatentAttention`."""
        latents = [self.q_a_proj(x_BTD), self.kv_a_proj_with_mqa(x_BTD), cos_TP, sin_TP]
        above = (self.q_a_layernorm, self.q_b_proj, self.kv_a_layernorm, self.kv_b_proj)
        parameters = [p for module in above for p in module.parameters()]
        return self.attend(*self.recomputation.segment(self._heads, latents, parameters))

    def _heads(
        self, q_BTQ: Tensor, kv_BTX: Tensor, cos_TP: Tensor, sin_TP: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, from the outputs of the first projections."""
        projected = cast(MultiHeadLatentAttention, _Projected(self))
        q_BHTX = MultiHeadLatentAttention.queries(projected, q_BTQ, cos_TP, sin_TP)
        c_BTL, k_BTR = MultiHeadLatentAttention.latents(projected, kv_BTX, cos_TP, sin_TP)
        return q_BHTX, *self.expand(c_BTL, k_BTR)


class _Projected:
    """An attention layer whose first projections have been done: they hand their input on."""

    def __init__(self, layer: MultiHeadLatentAttention) -> None:
        self._layer = layer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._layer, name)

    def q_a_proj(self, q_BTQ: Tensor) -> Tensor:
        return q_BTQ

    def kv_a_proj_with_mqa(self, kv_BTX: Tensor) -> Tensor:
        return kv_BTX


def recompute(model: nn.Module) -> Recomputation:
    """Make `model` recompute norms and up-projections, in place: parameters and their names stay.

    In force in `model(...)` itself, not in its parts called alone. Backward may run once for a forward.
    Raises ValueError where the model does so already.
    """
    recomputation = Recomputation()
    for name, module in list(model.named_modules()):
        if isinstance(module, RecomputedRMSNorm | RecomputedAttention):
            raise ValueError("the model recomputes already")
        parent_name, _, child = name.rpartition(".")
        parent = model.get_submodule(parent_name)
        if isinstance(module, MultiHeadLatentAttention):
            setattr(parent, child, RecomputedAttention(module, recomputation))
        elif isinstance(module, RMSNorm):
            setattr(parent, child, RecomputedRMSNorm(module, recomputation))
        elif isinstance(module, nn.Linear):
            module.register_forward_pre_hook(recomputation.cast_input)
    model.register_forward_pre_hook(recomputation.enter)
    model.register_forward_hook(recomputation.leave, always_call=True)
    return recomputation


def saved_bytes(
    model: nn.Module, forward: Callable[[], object], recomputation: Recomputation | None = None
) -> int:
    """Bytes of the distinct storages that `forward()` keeps for backward, the model's parameters left out.

    `recomputation`: what `recompute(model)` returned, where it was called.
    """
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    storages: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage  # held, so that no address is used twice
        return tensor

    def watch(tensor: Tensor) -> None:
        keep(tensor)

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept):
        if recomputation is not None:
            recomputation.watch = watch
        try:
            result = forward()  # the graph must live until everything is counted
        finally:
            if recomputation is not None:
                recomputation.watch = None
    del result
    return sum(storage.nbytes() for storage in storages.values())
