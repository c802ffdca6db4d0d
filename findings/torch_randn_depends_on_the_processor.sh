#!/usr/bin/env bash
# One would guess: torch.randn with a CPU generator and one seed gives the same float32 numbers on every x86-64
#   processor. Tools that store a seed rely on that ("draw the noise on the CPU, and it is the same everywhere").
# What happens: 16 values or more are made by a vectorised kernel where the processor has AVX2. Without it they are
#   made by another one. The two differ in the last bits of about half of the values. Fewer than 16 values are made by
#   a third way, so the first values of a long draw are not those of a short draw with the same seed.
#   The integers of torch.randint, and torch.rand, are the same for both.
# Version: torch 2.13.0, CPU build, Linux x86-64, 2026-11-30. ATEN_CPU_CAPABILITY stands in for an older processor.
# Source: observed by running; the kernels are in aten/src/ATen/native/cpu/DistributionTemplates.h.
# What helps: store a hash of the noise beside the seed, and name the processor's instructions in the record.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
cat > "$folder/draw.py" <<'PYTHON'
import hashlib
import sys

import torch


def drawn(make):
    return make(torch.Generator("cpu").manual_seed(7))


if sys.argv[1] == "save":
    torch.save(drawn(lambda g: torch.randn(4096, generator=g)), sys.argv[2])
    for name, make in (("randn", lambda g: torch.randn(4096, generator=g)),
                       ("rand", lambda g: torch.rand(4096, generator=g)),
                       ("randint", lambda g: torch.randint(1 << 30, (4096,), generator=g))):
        print(name, hashlib.sha256(drawn(make).numpy().tobytes()).hexdigest()[:16])
else:
    old, new = torch.load(sys.argv[2]), torch.load(sys.argv[3])
    print(f"values that differ: {int((old != new).sum())} of {len(old)}, at most by {float((old - new).abs().max()):.1e}")
    short = drawn(lambda g: torch.randn(15, generator=g))
    print("the first 15 of 4096 are those of a draw of 15:", bool(torch.equal(new[:15], short)))
PYTHON
cd "$folder"
if ! grep -qw avx2 /proc/cpuinfo; then
  echo "This processor has no AVX2, so there is nothing to compare."
  exit 0
fi
ATEN_CPU_CAPABILITY=default venv/bin/python draw.py save old.pt | tee old.txt
ATEN_CPU_CAPABILITY=avx2 venv/bin/python draw.py save new.pt | tee new.txt
ATEN_CPU_CAPABILITY=avx2 venv/bin/python draw.py compare old.pt new.pt | tee compared.txt
same() { [ "$(grep "^$1 " old.txt)" = "$(grep "^$1 " new.txt)" ]; }
same rand && same randint || { echo "CHANGED: rand or randint differ now"; exit 1; }
if same randn; then echo "CHANGED: randn is the same now"; exit 1; fi
grep -q "a draw of 15: False" compared.txt || { echo "CHANGED: a short draw is the beginning of a long one"; exit 1; }
