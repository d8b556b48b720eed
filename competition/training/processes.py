"""The processes and devices of a run: one CPU, one GPU or many, through Accelerate."""

import ctypes
import os
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import broadcast_object_list

from competition.base.errors import InputError

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of mallopt(3)
Shared = TypeVar("Shared")


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


def on_main(accelerator: Accelerator, function: Callable[[], object]) -> None:
    """Call function on the main process while the others wait; its InputError is raised on all of them."""
    message = None
    if accelerator.is_main_process:
        try:
            function()
        except InputError as error:
            message = str(error)
    if (message := share_object(message)) is not None:
        raise InputError(message)


def share_object(value: Shared) -> Shared:
    """Return the main process's value on every process."""
    values = [value]
    broadcast_object_list(values)
    return values[0]


def fast_precision(on_cpu: bool) -> str:
    """Return "bf16" where the machine trains faster in it than in float32, else "no"."""
    if on_cpu:
        fast = is_fast_in_bf16(cpu_capabilities(), cpu_name())
    else:
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16" if fast else "no"


def is_fast_in_bf16(capabilities: Mapping[str, object], processor: str) -> bool:
    """Tell by its instructions whether a processor trains faster in bf16 than in float32.

    Measured, CRMnet's rows/s in bf16 as multiples of those in float32: AMX 2.5; AVX-512 BF16 2.5 on an AMD
    EPYC, but .6 on an Intel Xeon held to it, where the instruction is half as fast; AVX-512 VNNI .3 to .6;
    AVX2 .08. Of ARM nothing is.
    """
    if capabilities.get("amx_bf16"):
        return True
    return bool(capabilities.get("avx512_bf16")) and "Intel" not in processor


def cpu_capabilities() -> Mapping[str, object]:
    """Return the processor's instruction sets as torch names them."""
    return getattr(torch.cpu, "get_capabilities", older_cpu_capabilities)()


def older_cpu_capabilities() -> dict[str, bool]:
    """Return those for bf16, as a torch that does not list them (2.6) is asked."""
    questions = {"amx_bf16": "_is_amx_tile_supported", "avx512_bf16": "_is_avx512_bf16_supported"}
    return {name: getattr(torch.cpu, question, bool)() for name, question in questions.items()}


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
