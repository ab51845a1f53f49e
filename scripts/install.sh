#!/bin/sh
# Makes .venv from requirements.lock, and nothing when .venv already is what the lock and pyproject.toml say.
#
# Needs a Python that we support and pip. uv is taken from PATH, else fetched into .venv at the locked version. Every file
# that is installed is checked against its hash in the lock; the project itself is built with the locked build tools.
set -eu
cd "$(dirname "$0")/.."

fail() {
    printf 'make install: %s\n' "$*" >&2
    exit 1
}

# The folder belongs to the stamp: the commands in .venv/bin name their interpreter by its full path.
wanted="$(cat pyproject.toml requirements.lock scripts/install.sh | cksum) $(pwd -P)"
stamp=.venv/.installed
if [ -x .venv/bin/python ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
    exit 0
fi

supported() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' </dev/null >/dev/null 2>&1
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        supported "$PYTHON" || fail "PYTHON=$PYTHON is not a Python 3.11, 3.12 or 3.13"
        printf '%s\n' "$PYTHON"
        return
    fi
    for candidate in python3 python3.13 python3.12 python3.11; do
        if supported "$candidate"; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    fail "needs Python 3.11, 3.12 or 3.13, and python3 here is $(python3 --version 2>&1 || echo absent)." \
        "Install one of them, or say where it is: make install PYTHON=/path/to/python3.12"
}

python=$(find_python)
rm -f "$stamp"
if ! supported .venv/bin/python; then
    # Without pip: Debian keeps ensurepip in a package of its own (python3-venv), and uv does not need it.
    "$python" -m venv --clear --without-pip .venv || fail "$python cannot make a virtual environment"
fi

works() {
    "$@" </dev/null >/dev/null 2>&1
}

# The lock's entry of uv, with its hashes, as a requirements file of its own.
locked_uv() {
    awk '/^uv==/ {own = 1; print; next} /^[^ ]/ {own = 0} own' requirements.lock
}

fetch_uv() {
    locked_uv >.venv/uv.txt
    set -- --python .venv/bin/python install --quiet --disable-pip-version-check --no-input --no-deps --require-hashes -r .venv/uv.txt
    if works "$python" -m pip --version; then
        "$python" -m pip "$@"
    elif works pip --version; then
        pip "$@"
    elif works .venv/bin/python -m ensurepip; then
        .venv/bin/python -m pip "$@"
    else
        fail "needs pip: install it (Debian: apt-get install python3-pip) or put uv on PATH"
    fi || fail "uv could not be fetched; see above"
    rm -f .venv/uv.txt
}

if works uv --version; then
    uv=uv
else
    uv=.venv/bin/uv
    works "$uv" --version || fetch_uv
fi

if [ "$(uname -s)-$(uname -m)" = Linux-aarch64 ] && ! works c++ --version; then
    fail "one dependency (wordllama) has no wheel for Linux on ARM and is compiled: install a C++ compiler (Debian: apt-get install g++)"
fi

quiet=
[ -t 2 ] || quiet=--quiet
export UV_PYTHON_DOWNLOADS=never
# uv trusts its own list of authorities; a network whose proxy has one of its own has put it into the system's list.
if [ "$(uname -s)" = Darwin ] || [ -f /etc/ssl/certs/ca-certificates.crt ] || [ -f /etc/pki/tls/certs/ca-bundle.crt ]; then
    export UV_SYSTEM_CERTS=true
fi
# Compiled now, because a first start that compiles Textual takes seconds.
"$uv" pip install $quiet --python .venv/bin/python --compile-bytecode --require-hashes -r requirements.lock ||
    fail "the packages of requirements.lock could not be installed; see above"
"$uv" pip install $quiet --python .venv/bin/python --no-deps --no-build-isolation --editable . ||
    fail "memdeck itself could not be installed; see above"
# Our own modules too: where Python is told not to write bytecode, every start would compile them again.
PYTHONDONTWRITEBYTECODE= .venv/bin/python -m compileall -q common daemon console || true
printf '%s\n' "$wanted" >"$stamp"
