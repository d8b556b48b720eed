"""The precision that is taken is the one in which the processor trains faster."""

import pytest

from competition.training.processes import cpu_capabilities, is_fast_in_bf16, older_cpu_capabilities

XEON, EPYC = "Intel(R) Xeon(R) Platinum 8481C", "AMD EPYC 9R14"


@pytest.mark.parametrize("processor", [XEON, EPYC])
def test_a_processor_with_amx_trains_in_bf16_and_one_without_instructions_for_it_does_not(processor):
    older = {"avx2": True, "avx512_f": True, "avx512_vnni": True, "avx512_bf16": False, "amx_bf16": False}
    assert is_fast_in_bf16(older | {"avx512_bf16": True, "amx_bf16": True}, processor)
    assert not is_fast_in_bf16(older, processor)
    assert not is_fast_in_bf16({}, processor)


def test_avx512_bf16_alone_is_fast_on_amd_and_slow_on_intel():
    assert is_fast_in_bf16({"avx512_bf16": True, "amx_bf16": False}, EPYC)
    assert not is_fast_in_bf16({"avx512_bf16": True, "amx_bf16": False}, XEON)


def test_arm_trains_in_float32():
    assert not is_fast_in_bf16({"architecture": "aarch64", "bf16": True, "sve_bf16": True}, "Neoverse-V1")


def test_torch_answers_single_questions_as_it_lists_all():
    listed = cpu_capabilities()
    assert older_cpu_capabilities() == {name: bool(listed.get(name)) for name in ("amx_bf16", "avx512_bf16")}
