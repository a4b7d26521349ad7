# Sourced by the other scripts: goes to the repository's root and offers `ensure_environment`.
# shellcheck shell=bash
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

# More threads than cores make small kernels many times slower, and containers often report the host's cores.
cores=$(nproc 2>/dev/null || echo 2)
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$cores}"
export NUMBA_NUM_THREADS="${NUMBA_NUM_THREADS:-$OMP_NUM_THREADS}"
export PIP_DISABLE_PIP_VERSION_CHECK=1

say() { printf '%s\n' "$*" >&2; }
give_up() { say "$@"; exit 1; }

# Makes .venv hold this checkout (editable, so `git pull` is enough) and its dependencies.
# $1: the extras wanted, "" or "dev". Returns at once when nothing changed since the last time.
ensure_environment() {
    local stamp=.venv/installed wanted
    wanted=$(fingerprint)
    # "dev" holds everything that "" does.
    if [ -f "$stamp" ] && { grep -qxF "$wanted dev" "$stamp" || grep -qxF "$wanted $1" "$stamp"; }; then
        return
    fi
    ensure_venv
    say "Installing into .venv (the first time takes a few minutes) ..."
    install_torch
    .venv/bin/python -m pip install -qq -c scripts/constraints-cpu.txt -e ".${1:+[$1]}" ||
        give_up "The installation failed: read pip's message above, then run this script again; it goes on where it stopped."
    printf '%s %s\n' "$wanted" "$1" >"$stamp"
}

# Changes when the dependencies, their versions, or the place of this checkout change.
fingerprint() {
    { pwd; cat pyproject.toml scripts/constraints-cpu.txt; } | sha256sum | cut -d' ' -f1
}

ensure_venv() {
    if .venv/bin/python -m pip --version >/dev/null 2>&1; then
        return
    fi
    local python
    python=$(find_python) || give_up "This program needs Python 3.11 or newer; here is" \
        "$(python3 --version 2>/dev/null || echo none). Install one: sudo apt-get install -y python3 python3-venv" \
        "(on Ubuntu 22.04: sudo apt-get install -y python3.11 python3.11-venv)."
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        give_up "Python's venv module is missing. Install it: sudo apt-get install -y $(venv_package "$python")"
    rm -rf .venv
    "$python" -m venv .venv || give_up "Python could not make .venv here: read its message above."
}

find_python() {
    local name
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    return 1
}

venv_package() {
    "$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'
}

# Without an NVIDIA device the CPU build of torch is enough, and it is gigabytes smaller on Linux.
# pip takes it where the package index in use offers it; which index that is stays the user's choice.
install_torch() {
    local version
    version=$(sed -n 's/^torch==//p' scripts/constraints-cpu.txt)
    if [ "$(uname -s)" != Linux ] || [ -e /dev/nvidiactl ] || command -v nvidia-smi >/dev/null; then
        return
    fi
    if .venv/bin/python -c "import torch" 2>/dev/null; then
        return
    fi
    .venv/bin/python -m pip install -qq -c scripts/constraints-cpu.txt "torch==$version+cpu" 2>/dev/null && return
    say "No NVIDIA device is here, but your package index has no CPU build of torch $version, so pip fetches the CUDA" \
        "build (several GB). To avoid it, stop now (Ctrl-C) and run this again with PIP_EXTRA_INDEX_URL set to the CPU" \
        "address that the install page on PyTorch's website shows."
}
