"""A device that is not there: tensors that say they lie on a GPU, and hold their numbers on the CPU.

Owns what a real GPU would refuse, or would have to wait for: operands on two devices, and transfers between it and the
machine. All values are real, computed by torch on the CPU, so that a model runs to its end, `tolist()` and the stop
test of a text included. Never decides what is a mistake beyond that: steps.py does.

A build of torch without CUDA cannot index a tensor "on cuda", so there the device is "meta:1", which such a build
knows. The plain "meta", on which models are outlined without weights, stays what it is.

It cannot see: what only CUDA's kernels do (their rounding, their memory, a dtype that one of them lacks), which of
two kernels a GPU would choose, and races of streams.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

TO_HOST, TO_DEVICE, WAIT = "to host", "to device", "wait"
OF_TRANSFORMERS = ", by transformers"
_ATEN: Any = torch.ops.aten
_NO_FUNCTION: Any = torch._C._disabled_torch_function_impl
# What needs a value, or a size that depends on values: the CPU waits until the GPU has computed it.
_WAITS = frozenset(
    [
        *("item", "_local_scalar_dense", "is_nonzero", "equal", "nonzero", "masked_select", "_unique2", "unique_dim"),
        *("unique_consecutive", "unique_dim_consecutive", "bincount", "allclose"),
        *("argwhere", "nonzero_numpy", "one_hot"),
    ]
)
_INDEXING = frozenset(["index", "index_put", "index_put_"])  # by indices on the CPU, or by a mask
_PINNING = frozenset(["is_pinned", "pin_memory", "_pin_memory"])
_COPIES = frozenset(["_to_copy", "to", "copy_", "copy"])
_HALVES = (torch.float16, torch.bfloat16)
_SLOW_IN_HALF = frozenset(["aten::conv2d", "aten::convolution"])
_LOG_SOFTMAX = frozenset(["log_softmax", "_log_softmax"])


class Placed(Tensor):
    """A tensor that says it lies on the pretended device."""

    numbers: Tensor
    on: PretendedDevice

    @staticmethod
    def __new__(cls, numbers: Tensor, on: PretendedDevice, device: torch.device) -> Placed:
        make: Any = torch.Tensor._make_wrapper_subclass
        made: Placed = make(
            cls,
            numbers.shape,
            strides=numbers.stride(),
            storage_offset=numbers.storage_offset(),
            dtype=numbers.dtype,
            device=device,
        )
        return made

    def __init__(self, numbers: Tensor, on: PretendedDevice, device: torch.device) -> None:
        self.numbers = numbers
        self.on = on

    __torch_function__ = _NO_FUNCTION

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        one = next(tensor for tensor in _tensors((args, kwargs)) if isinstance(tensor, Placed))
        return one.on.run(func, args, kwargs or {})

    def tolist(self) -> Any:
        """Gives the values, by a transfer: torch has no such method for a tensor of another class."""
        return self.cpu().tolist()

    def __deepcopy__(self, memo: Any) -> Any:
        copy = self.detach().clone()
        return torch.nn.Parameter(copy, requires_grad=False) if isinstance(self, torch.nn.Parameter) else copy

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"Placed({tuple(self.shape)}, {self.dtype}, {self.device})"


class _ListsOfNumbers(TorchFunctionMode):
    """Reads the tensors in `torch.tensor([one, other])` as numbers; torch would look into them behind our back."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.tensor and isinstance(args[0], list | tuple):
            args = (_mapped(args[0], lambda leaf: leaf.item() if isinstance(leaf, Placed) else leaf), *args[1:])
        return func(*args, **(kwargs or {}))


class PretendedDevice(TorchDispatchMode):
    """All that runs within it; counts what passes between the device and the machine."""

    # The place of torch's own FakeTensorMode: then torch does not look for a driver when "cuda" is named.
    _mode_key = torch._C._TorchDispatchModeKey.FAKE

    def __init__(self, device: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.device = _numbered(torch.device(device))
        self.counts: Counter[str] = Counter()
        self.mistakes: list[str] = []
        self.n_log_softmax = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.run(func, args, kwargs or {})

    @contextmanager
    def pretending(self) -> Iterator[None]:
        """Runs a block with the device; what torch and babycli ask of a driver gets an answer."""
        before = torch._C._only_lift_cpu_tensors()
        memory, torch.cuda.mem_get_info = torch.cuda.mem_get_info, lambda device=None: (1 << 30, 1 << 30)
        torch._C._set_only_lift_cpu_tensors(True)
        future: Any = torch.__future__
        overwrites = future.get_overwrite_module_params_on_conversion()
        future.set_overwrite_module_params_on_conversion(True)  # a weight that is moved becomes a Placed
        try:
            if torch.version.cuda:
                torch._C._ensureCUDADeviceGuardSet()  # where there is no GPU
            with self, _ListsOfNumbers():
                yield
        finally:
            torch._C._set_only_lift_cpu_tensors(before)
            torch.cuda.mem_get_info = memory
            future.set_overwrite_module_params_on_conversion(overwrites)

    def run(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Computes an operation on the CPU. Raises RuntimeError, as torch does, for operands on two devices."""
        name = func._schema.name.removeprefix("aten::")
        if name == "_has_compatible_shallow_copy_type":  # asked by Module.to of a weight and what becomes of it
            return False
        if name in _PINNING:  # which asks the driver
            return False if name == "is_pinned" else torch.clone(args[0])
        target = _asked_device(func, args, kwargs)
        tensors = list(_tensors((args, kwargs)))
        placed = [tensor for tensor in tensors if isinstance(tensor, Placed)]
        if not placed and (target is None or not self._is_pretended(target)):
            return func(*args, **kwargs)
        where = placed[0].device if placed else None
        goes_to = where if target is None else _numbered(target)
        if name in _COPIES:
            self._count_copy(name, tensors, goes_to)
        else:
            self._check_devices(name, tensors, args)
        self._count_waits(name, func._overloadname, args)
        self._check_log_softmax(name, placed)
        result = _computed(func, _mapped(args, self._on_cpu), _mapped(kwargs, self._on_cpu))
        if name == "copy_" or (name.endswith("_") and not name.endswith("__")):
            return args[0]
        assert goes_to is not None
        if not self._is_pretended(goes_to):
            return result
        if placed and result is placed[0].numbers:  # `to` without a change
            return placed[0]
        # Ordinary tensors, in inference mode too: of an ordinary weight only an ordinary tensor can be a view.
        with torch.inference_mode(False):
            return _mapped(result, lambda leaf: Placed(leaf, self, goes_to) if isinstance(leaf, Tensor) else leaf)

    def _is_pretended(self, device: torch.device) -> bool:
        is_plain_meta = device.type == "meta" and device.index is None
        return device.type == self.device.type and not is_plain_meta

    def _on_cpu(self, value: Any) -> Any:
        if isinstance(value, Placed):
            return value.numbers
        return torch.device("cpu") if isinstance(value, torch.device) and self._is_pretended(value) else value

    def _check_devices(self, name: str, tensors: Sequence[Tensor], args: Sequence[Any]) -> None:
        # A number alone may lie on the CPU; so may indices, which are then transferred.
        n_indices = len(list(_tensors(args[1]))) if name in _INDEXING else 0
        on_cpu_too = tensors[1 : 1 + n_indices]
        operands = [t for t in tensors if isinstance(t, Placed) or (t.dim() and all(t is not o for o in on_cpu_too))]
        devices = sorted({str(tensor.device) for tensor in operands})
        if len(devices) > 1:
            raise RuntimeError(f"{name}: expected all tensors to be on the same device, but found {devices}")

    def _count_copy(self, name: str, tensors: Sequence[Tensor], goes_to: torch.device | None) -> None:
        if name.startswith("copy"):
            goes_to, came_from = tensors[0].device, tensors[1].device
        else:
            came_from = tensors[0].device
        assert goes_to is not None
        from_here, to_here = self._is_pretended(came_from), self._is_pretended(goes_to)
        if from_here and not to_here:
            self._count(TO_HOST)
        elif to_here and not from_here:
            self._count(TO_DEVICE)
        elif came_from != goes_to:
            raise RuntimeError(f"{name}: a tensor goes from {came_from} to {goes_to}")
        if to_here and goes_to != self.device:
            raise RuntimeError(f"{name}: a tensor goes to {goes_to}, and the model is to run on {self.device}")

    def _count_waits(self, name: str, overload: str, args: Sequence[Any]) -> None:
        if name in _WAITS or (name == "repeat_interleave" and "Tensor" in overload):
            self._count(WAIT)
        if name in _INDEXING:
            for index in _tensors(args[1]):
                if index.dtype in (torch.bool, torch.uint8):
                    self._count(WAIT)
                if not isinstance(index, Placed):
                    self._count(TO_DEVICE)

    def _count(self, kind: str) -> None:
        self.counts[kind + (OF_TRANSFORMERS if _is_of_transformers() else "")] += 1

    def _check_log_softmax(self, name: str, placed: Sequence[Tensor]) -> None:
        if name in _LOG_SOFTMAX:
            self.n_log_softmax += 1
            if placed[0].dtype != torch.float32:
                self.mistakes.append(f"log-softmax in {_word(placed[0].dtype)}, expected is float32")


def _computed(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Computes on the CPU; what the CPU lacks in half precision or does slowly, and a GPU well, in float32."""
    halves = {tensor.dtype for tensor in _tensors(args) if tensor.dtype in _HALVES}
    try:
        if not halves or func._schema.name not in _SLOW_IN_HALF:
            return func(*args, **kwargs)
    except NotImplementedError:
        if len(halves) != 1:
            raise
    half = halves.pop()
    result = func(*_mapped(args, lambda value: _cast(value, half, torch.float32)), **kwargs)
    return _mapped(result, lambda value: _cast(value, torch.float32, half))


def _cast(value: Any, wanted: torch.dtype, to: torch.dtype) -> Any:
    return value.to(to) if isinstance(value, Tensor) and value.dtype == wanted else value


def watch_dtypes(dtype: torch.dtype, mistakes: list[str]) -> Any:
    """Watches all modules that have weights: weights, and what goes in and comes out, must be of ``dtype``.

    Gives a handle whose ``remove`` ends it. What a module without weights computes in between may have any.
    """

    def check(module: torch.nn.Module, given: Any, result: Any) -> None:
        weights = list(module.parameters(recurse=False))
        if not weights:
            return
        for what, values in (("weight", weights), ("input", given), ("output", result)):
            for tensor in _tensors(values):
                if tensor.is_floating_point() and tensor.dtype != dtype:
                    kind = type(module).__name__
                    mistakes.append(f"{kind}: {what} in {_word(tensor.dtype)}, expected is {_word(dtype)}")

    hook: Callable[..., Any] = torch.nn.modules.module.register_module_forward_hook
    return hook(check)


def _tensors(value: Any) -> Iterator[Tensor]:
    """Gives the tensors in lists, tuples and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _tensors(one)


def _mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """Gives lists, tuples and dicts with what is in them changed."""
    if isinstance(value, list | tuple):
        return type(value)(_mapped(one, change) for one in value)
    if isinstance(value, dict):
        return {key: _mapped(one, change) for key, one in value.items()}
    return change(value)


def _asked_device(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> torch.device | None:
    """Gives the device that an operation is told to put its result on; None if it is told none."""
    for i, argument in enumerate(func._schema.arguments):
        if argument.name == "device":
            value = kwargs.get("device", args[i] if i < len(args) else None)
            return None if value is None else torch.device(value)
    if func._overloadpacket is _ATEN.to and func._overloadname == "other":
        return args[1].device  # type: ignore[no-any-return]
    return None


def _is_of_transformers() -> bool:
    """Tells whether transformers called torch, and not babycli or a user's model."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        package = str(frame.f_globals.get("__name__")).partition(".")[0]
        if package != "torch" and frame.f_globals is not globals():
            return package == "transformers"
        frame = frame.f_back
    return False


def _numbered(device: torch.device) -> torch.device:
    """Gives a device with its number, as torch does: "cuda" is the first one. The plain "meta" has none."""
    return torch.device(device.type, 0) if device.type == "cuda" and device.index is None else device


def _word(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
