"""The model on a device that is not the processor, where no GPU is needed to look.

torch can pretend: tensors that have a shape, a type and a device and no memory, and refuse to be mixed with
those of another device. A training step on them finds every tensor that was made in the wrong place and every
hidden look into a tensor's memory. What has to look at numbers (how many rows an expert has) is stood in for.
The pretended device is registered once a process and cannot be taken back, hence a fork.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from tests.warm import Warm

DEVICE = "pretended"
STEPS = [("fp32", False), ("bf16", True), ("fp8", False)]


def test_a_step_makes_no_tensor_on_another_device(training: Warm) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU, on which the next test trains")
    code = f"from {__name__} import main; main(); raise SystemExit(0)"
    done = training.call(code=code)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.split("\n")[:-1] == [f"{mode} {again}" for mode, again in STEPS] + ["caught"]


@pytest.mark.parametrize(("mode", "bound"), [("fp32", 1e-4), ("bf16", 2e-2), ("fp8", 5e-2)])
def test_a_gpu_trains_as_the_processor_does(mode: Any, bound: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss of every step; with deterministic kernels the same bits again, also with recomputation."""
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    from corpusmill.training_hooks.model.config import preset
    from corpusmill.training_hooks.model.initialise import initialise
    from corpusmill.training_hooks.model.recompute import recompute
    from corpusmill.training_hooks.model.transformer import Transformer
    from corpusmill.training_hooks.precision.apply import apply, autocast
    from corpusmill.training_hooks.trainer.ema import Ema
    from corpusmill.training_hooks.trainer.loop import repeatable
    from corpusmill.training_hooks.trainer.objective import objective
    from corpusmill.training_hooks.trainer.optimiser import adamw, set_learning_rate

    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    rows = torch.randint(3, 60, (4, 2, 70), generator=torch.Generator().manual_seed(0))

    def run(device: str, again: bool) -> tuple[list[float], dict[str, Any], dict[str, Any]]:
        model = Transformer(dataclasses.replace(preset("v3-mini", 60, 1), num_hidden_layers=2))
        initialise(model, 1, 0.05)
        model.to(device)
        apply(model, mode, engine="emulated" if mode == "fp8" else None)
        if again:
            recompute(model)
        optimiser, losses = adamw(model), []
        set_learning_rate(optimiser, 1e-3)
        with Ema(model, 0.5) as ema, repeatable(1):
            for row in rows:
                tokens = row.to(device)
                optimiser.zero_grad(set_to_none=True)
                with autocast(mode, device):
                    found = objective(model, tokens, tokens != 2, 0.3, 1e-3)
                found.total.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                ema.update()
                losses.append(float(found.total.detach()))
            return losses, {name: t.cpu() for name, t in model.state_dict().items()}, ema.state()

    plain, (losses, weights, average), repeated = run("cpu", False), run("cuda", False), run("cuda", True)
    assert losses == pytest.approx(plain[0], rel=bound)
    assert losses == repeated[0]
    for name, tensor in weights.items():
        assert torch.equal(tensor, repeated[1][name]), name
        assert torch.equal(average[name], repeated[2][name]), name


def register() -> list[Any]:
    """Make the device known, with autocast for what a GPU's autocast casts; keep what this returns."""
    import torch
    from torch.utils import backend_registration

    class Backend(backend_registration._DummyBackendModule):  # type: ignore[misc]
        def get_amp_supported_dtype(self) -> list[torch.dtype]:
            return [torch.bfloat16]

    backend_registration._setup_privateuseone_for_python_backend(DEVICE, backend_module=Backend())
    every, some = torch.library.Library("_", "IMPL"), torch.library.Library("aten", "IMPL")
    every.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    key = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)

    def casting(operation: Callable[..., Any]) -> Callable[..., Any]:
        def cast(*args: Any, **options: Any) -> Any:
            low = torch.get_autocast_dtype(DEVICE)
            floats = [isinstance(a, torch.Tensor) and a.is_floating_point() for a in args]
            with torch._C._ExcludeDispatchKeyGuard(key):
                return operation(
                    *(a.to(low) if f else a for a, f in zip(args, floats, strict=True)), **options
                )

        return cast

    for name in ("linear", "mm", "bmm", "matmul", "scaled_dot_product_attention"):
        some.impl(name, casting(getattr(torch.ops.aten, name)), "AutocastPrivateUse1")
    return [every, some]


def stand_in() -> None:
    """In the place of what looks at numbers: an even load."""
    import torch
    from torch import Tensor

    from corpusmill.training_hooks.model import moe
    from corpusmill.training_hooks.model.dispatch import SlotOrder
    from corpusmill.training_hooks.trainer.objective import BatchCounts

    def slot_order(experts_NK: Tensor, n_experts: int) -> SlotOrder:
        slots = experts_NK.numel()
        order = torch.arange(slots, device=experts_NK.device)
        each = [slots // n_experts] * n_experts
        return SlotOrder(order, order.clone(), [slots - sum(each[1:]), *each[1:]])

    def expert_load(experts_NK: Tensor, real_N: Tensor, n_experts: int) -> Tensor:
        return (experts_NK * real_N[:, None]).new_zeros(n_experts)

    def counts(real_BW: Tensor, depths: int) -> BatchCounts:
        return BatchCounts([1.0] * (depths + 1), [1.0] * (depths + 1))

    moe.slot_order, moe.expert_load = slot_order, expert_load
    BatchCounts.of = staticmethod(counts)  # type: ignore[assignment, method-assign]


def step(mode: Any, recomputed: bool) -> None:
    """A whole step of a model with every kind of layer, and a pass without gradients."""
    import torch
    from torch.nn.utils import clip_grad_norm_

    from corpusmill.training_hooks.model.balance import update_bias
    from corpusmill.training_hooks.model.config import preset
    from corpusmill.training_hooks.model.recompute import recompute
    from corpusmill.training_hooks.model.transformer import Transformer
    from corpusmill.training_hooks.model.yarn import YarnScaling
    from corpusmill.training_hooks.precision.apply import apply, autocast
    from corpusmill.training_hooks.trainer.objective import objective
    from corpusmill.training_hooks.trainer.optimiser import adamw

    # A dense layer, and MTP's with a mixture.
    config = dataclasses.replace(preset("v3-tiny", 60, 1), num_hidden_layers=1, n_routed_experts=4, n_group=2)
    with torch.device(DEVICE):
        model = Transformer(config)
    model.set_rope_scaling(YarnScaling(8.0, 64))
    apply(model, mode, engine="emulated" if mode == "fp8" else None)
    if recomputed:
        recompute(model)
    tokens = torch.zeros(2, 70, dtype=torch.int64, device=DEVICE)
    optimiser = adamw(model, moments=torch.bfloat16 if recomputed else torch.float32)
    with autocast(mode, DEVICE):
        losses = objective(model, tokens, tokens != 2, 0.3, 1e-4)
    losses.total.backward()  # type: ignore[no-untyped-call]
    clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    for gate, load in zip(model.gates(), losses.loads, strict=True):
        update_bias(gate.e_score_correction_bias, load, 0.01)
    with torch.no_grad():
        logits = model.logits(tokens)
    grads = [p.grad for p in model.parameters()]
    states = [t for s in optimiser.state.values() for t in s.values() if isinstance(t, torch.Tensor)]
    given = [losses.total, losses.token_loss, losses.counted, logits, *losses.loads]
    for tensor in [*given, *grads, *states]:
        assert tensor is not None
        assert tensor.device.type == DEVICE


def main() -> None:
    """Steps of every kind, and a planted tensor in the wrong place."""
    warnings.filterwarnings("ignore", "Accessing the data pointer of FakeTensor")
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    kept = register()
    stand_in()
    for mode, recomputed in STEPS:
        with FakeTensorMode():
            step(mode, recomputed)
        print(mode, recomputed)
    with FakeTensorMode(), pytest.raises(RuntimeError, match=DEVICE):
        torch.ones(3, device=DEVICE) + torch.ones(3)
    print("caught")
    del kept
