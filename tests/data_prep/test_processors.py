"""The built-in challenges are the same bytes whatever the processor can do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from numpy._core._multiarray_umath import __cpu_dispatch__

from competition.base.files import file_digest

# Few candidates and short blocks: the same code in a tenth of the time.
BUILD = """
import sys
from pathlib import Path
from numpy._core._multiarray_umath import __cpu_features__
from data_prep import genes, histone, promoters
from data_prep.simulation import subsets
assert not [name for name in sys.argv[2:] if __cpu_features__[name]], "NumPy did not heed the environment"
subsets.NUM_CANDIDATES, promoters.BLOCK_ROWS = 300, 256
promoters.build(Path(sys.argv[1], "promoters"), num_train=100)
genes.build(Path(sys.argv[1], "genes"), num_train=10)
histone.build(Path(sys.argv[1], "histone"), num_genes=100)
"""


def build_without(features: list[str], folder: Path, **environment: str) -> dict[str, str]:
    """Build all three in a process without some of NumPy's instruction sets; return path -> sha256."""
    environment = os.environ | {"NPY_DISABLE_CPU_FEATURES": " ".join(features)} | environment
    subprocess.run([sys.executable, "-c", BUILD, folder, *features], env=environment, check=True)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): file_digest(path) for path in paths}


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> dict[str, str]:
    return build_without([], tmp_path_factory.mktemp("here"))


def test_without_avx512_the_built_in_challenges_are_the_same_bytes(here, tmp_path):
    wide = [name for name in __cpu_dispatch__ if "512" in name or name == "X86_V4"]
    assert build_without(wide, tmp_path, OPENBLAS_CORETYPE="Haswell") == here


def test_on_the_oldest_processor_the_built_in_challenges_are_the_same_bytes(here, tmp_path):
    old = {"OPENBLAS_CORETYPE": "Prescott", "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4"}
    assert build_without(list(__cpu_dispatch__), tmp_path, **old) == here
