"""The processes and devices of a run: one CPU, one GPU or many, through Accelerate."""

import ctypes
import os
from collections.abc import Callable
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import broadcast_object_list

from competition.errors import InputError

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of mallopt(3)


def make_accelerator(device: str, precision: str) -> Accelerator:
    """Return an Accelerator on "auto" or "cpu" in precision "auto", "no", "bf16" or "fp16".

    Raises InputError where the device cannot do the precision that is asked for.
    """
    on_cpu = device == "cpu" or not torch.cuda.is_available()
    if precision == "auto":
        precision = fast_precision(on_cpu)
    if precision == "fp16" and on_cpu:
        raise InputError("--precision fp16 needs a GPU; wanted auto, no or bf16 on a CPU")
    if on_cpu:
        keep_freed_memory()
    else:
        be_deterministic()
    AcceleratorState._reset_state(reset_partial_state=False)  # a second run in one process may differ
    return Accelerator(cpu=on_cpu, mixed_precision=precision)


def on_main(accelerator: Accelerator, function: Callable[[], Any]) -> None:
    """Call function on the main process while the others wait; its InputError is raised on all of them."""
    message = None
    if accelerator.is_main_process:
        try:
            function()
        except InputError as error:
            message = str(error)
    if (message := share_object(message)) is not None:
        raise InputError(message)


def share_object(value: Any) -> Any:
    """Return the main process's value on every process."""
    values = [value]
    broadcast_object_list(values)
    return values[0]


def fast_precision(on_cpu: bool) -> str:
    """Return "bf16" where the machine multiplies it in hardware, else "no".

    A CPU without AMX emulates bf16 and is slower with it than without.
    """
    if on_cpu:
        capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
        return "bf16" if capabilities.get("amx_bf16") else "no"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "no"


def keep_freed_memory() -> None:
    """Ask the C library to keep freed memory for the next step instead of returning it to the system.

    A training step frees and takes back the same gigabytes; fetching them page by page cost a quarter of
    CRMnet's step on two cores (40 against 53 rows/s). Does nothing where the C library is not glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def be_deterministic() -> None:
    """Make a repeat on a GPU give the same bytes; operations without a deterministic form warn."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False


def device_name(accelerator: Accelerator) -> str:
    """Return what computes, as a person would call it: "2 x NVIDIA H200" or "Intel Xeon, 2 threads"."""
    if accelerator.device.type == "cuda":
        name = torch.cuda.get_device_name(accelerator.device)
    else:
        name = f"{cpu_name()}, {torch.get_num_threads()} threads"
    return name if accelerator.num_processes == 1 else f"{accelerator.num_processes} x {name}"


def cpu_name() -> str:
    """Return the processor's model name, or its architecture where the system does not say."""
    import platform

    try:
        with open("/proc/cpuinfo") as file:  # noqa: PTH123
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.machine()
